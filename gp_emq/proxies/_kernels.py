"""Elementwise operators that write into a buffer they are given.

Fresh allocations cost several times the arithmetic, so blocks are computed in scratch. Each
kernel computes what the function of its operator does, to the last digits of its type.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from primitives import EPSILON, Operator

Kernel = Callable[..., Tensor]
"""Arguments, then the keyword ``out``, which is none of them; gives ``out``."""

_MISH_BOUND = 40.0


def _reciprocal(x: Tensor, *, out: Tensor) -> Tensor:
    return torch.add(x, EPSILON, out=out).reciprocal_()


def _by_numpy(ufunc: np.ufunc, function: Kernel) -> Kernel:
    """Let numpy compute what lies in the main memory.

    Its vectorised roots, logarithms and exponentials take a quarter to a half of the time of
    torch's, and no longer for zeros and subnormal numbers.
    """

    def kernel(x: Tensor, *, out: Tensor) -> Tensor:
        if not out.is_cpu:
            return function(x, out=out)
        ufunc(x.numpy(), out=out.numpy())
        return out

    return kernel


_sqrt = _by_numpy(np.sqrt, torch.sqrt)
_log = _by_numpy(np.log, torch.log)
_exp = _by_numpy(np.exp, torch.exp)


def _clamped_sqrt(x: Tensor, *, out: Tensor) -> Tensor:
    return _sqrt(torch.clamp(x, min=0, out=out), out=out)


def _log_abs(x: Tensor, *, out: Tensor) -> Tensor:
    return _log(torch.abs(x, out=out), out=out)


def _relu(x: Tensor, *, out: Tensor) -> Tensor:
    return torch.clamp(x, min=0, out=out)


def _leaky_relu(x: Tensor, *, out: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.leaky_relu.out(x, 0.01, out=out)
    return result


def _mish(x: Tensor, *, out: Tensor) -> Tensor:
    # tanh(log(1 + e)) = n / (n + 2) with n = e(e + 2); beyond the bound it is 1 in any precision.
    e = _exp(torch.clamp(x, max=_MISH_BOUND, out=out), out=out)
    n = e.add(2).mul_(e)
    return torch.div(n, n + 2, out=out).mul_(x)


def _swish(x: Tensor, *, out: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.silu.out(x, out=out)
    return result


def _power(x: Tensor, exponent: float, *, out: Tensor) -> Tensor:
    magnitude = torch.abs(x, out=out)
    magnitude = _sqrt(magnitude, out=out) if exponent == 0.5 else magnitude.pow_(exponent)
    return torch.copysign(magnitude, x, out=out)


_KERNELS: dict[str, Kernel] = {
    "abs": torch.abs,
    "negate": torch.neg,
    "sign": torch.sign,
    "square": torch.square,
    "sqrt": _clamped_sqrt,
    "reciprocal": _reciprocal,
    "log": _log,
    "log_abs": _log_abs,
    "exp": _exp,
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


def computed(operator: Operator, *arguments: Tensor | float) -> Tensor:
    """Apply an elementwise operator to tensors, by its kernel, into memory of its own."""
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    shape = np.broadcast_shapes(*(tensor.shape for tensor in tensors))
    return kernel_of(operator)(*arguments, out=tensors[0].new_empty(shape))
