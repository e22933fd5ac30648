"""Operations of which torch has no second derivative, with one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class _HardSigmoid(torch.autograd.Function):
    """`torch.nn.functional.hardsigmoid`, whose own derivative torch does not derive again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return functional.hardsigmoid(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _slope(gradient, *ctx.saved_tensors)


class _Slope(torch.autograd.Function):
    """Its derivative as torch has it: linear in the gradient, and in steps by the values."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, values: Tensor) -> Tensor:
        found: Tensor = torch.ops.aten.hardsigmoid_backward(gradient, values)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _slope(gradient, *ctx.saved_tensors), None


_sigmoid: Callable[[Tensor], Tensor] = _HardSigmoid.apply
_slope: Callable[[Tensor, Tensor], Tensor] = _Slope.apply


class DerivedTwice(TorchFunctionMode):
    """Inside the block `hardsigmoid` can be derived twice; values and first derivatives stay.

    Backward passes belong inside, as they may compute parts of the forward pass again.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        used = _hard_sigmoid if func is functional.hardsigmoid else func
        return used(*args, **(kwargs or {}))


def _hard_sigmoid(input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002
    """Take what `torch.nn.functional.hardsigmoid` takes."""
    if not inplace:
        return _sigmoid(input)
    return input.copy_(_sigmoid(input.clone()))
