"""Elementwise operators that write into a buffer they are given.

Fresh allocations cost several times the arithmetic, so blocks are computed in scratch. Each
kernel does the same arithmetic, in the same order, as the function of its operator.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from primitives import EPSILON, Operator

Kernel = Callable[..., Tensor]
"""Arguments, then the keyword ``out``; gives ``out``."""


def _reciprocal(x: Tensor, *, out: Tensor) -> Tensor:
    return torch.add(x, EPSILON, out=out).reciprocal_()


def _clamped_sqrt(x: Tensor, *, out: Tensor) -> Tensor:
    return torch.clamp(x, min=0, out=out).sqrt_()


def _log_abs(x: Tensor, *, out: Tensor) -> Tensor:
    return torch.abs(x, out=out).log_()


def _relu(x: Tensor, *, out: Tensor) -> Tensor:
    return torch.clamp(x, min=0, out=out)


def _leaky_relu(x: Tensor, *, out: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.leaky_relu.out(x, 0.01, out=out)
    return result


def _mish(x: Tensor, *, out: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.mish.out(x, out=out)
    return result


def _swish(x: Tensor, *, out: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.silu.out(x, out=out)
    return result


def _power(x: Tensor, exponent: float, *, out: Tensor) -> Tensor:
    magnitude = torch.abs(x, out=out).pow_(exponent)
    return torch.copysign(magnitude, x, out=out)


_KERNELS: dict[str, Kernel] = {
    "abs": torch.abs,
    "negate": torch.neg,
    "sign": torch.sign,
    "square": torch.square,
    "sqrt": _clamped_sqrt,
    "reciprocal": _reciprocal,
    "log": torch.log,
    "log_abs": _log_abs,
    "exp": torch.exp,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "sigmoid": torch.sigmoid,
    "mish": _mish,
    "swish": _swish,
    "power": _power,
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "less": torch.lt,
    "greater": torch.gt,
    "equal": torch.eq,
}


def kernel_of(operator: Operator) -> Kernel:
    """Give the kernel of an elementwise operator; a user's own is computed and copied."""
    kernel = _KERNELS.get(operator.name)
    if kernel is not None:
        return kernel

    def copied(*arguments: Tensor, out: Tensor) -> Tensor:
        return out.copy_(operator.function(*arguments))

    return copied
