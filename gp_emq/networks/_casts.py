"""Networks that cast tensors to the types of their weights, run in the precision we give them.

A network whose weights are float16 casts its input to float16, one whose last layer is float64 what
it feeds that. In a copy whose weights are float32 such a cast would meet weights of another type,
and what comes after one to half precision would be rounded.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_HALF = (torch.float16, torch.bfloat16)
_METHODS = {
    Tensor.half: torch.float16,
    Tensor.bfloat16: torch.bfloat16,
    Tensor.float: torch.float32,
    Tensor.double: torch.float64,
}
_CASTS = (Tensor.to, Tensor.type)
_NAMES = {
    "torch.HalfTensor": torch.float16,
    "torch.BFloat16Tensor": torch.bfloat16,
    "torch.FloatTensor": torch.float32,
    "torch.DoubleTensor": torch.float64,
}


class _Widened(TorchFunctionMode):
    """Inside the block, whatever asks for float32 or one of some floating types gets `dtype`."""

    def __init__(self, dtype: torch.dtype, kinds: frozenset[torch.dtype]) -> None:
        super().__init__()
        self._dtype, self._kinds = dtype, kinds

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func in _METHODS:
            args, func = (args[0], self._wide(_METHODS[func])), Tensor.to
        elif func in _CASTS:
            args = (args[0], *(self._wide(value) for value in args[1:]))
        if func not in (Tensor.view, torch.finfo):
            named = {
                name: self._wide(value) if name in ("dtype", "out_dtype") else value
                for name, value in named.items()
            }
        return func(*args, **named)

    def _wide(self, value: Any) -> Any:
        dtype = _NAMES.get(value, value) if isinstance(value, str) else value
        if isinstance(dtype, type):
            dtype = _NAMES.get(f"{dtype.__module__}.{dtype.__name__}", dtype)
        return self._dtype if isinstance(dtype, torch.dtype) and dtype in self._kinds else value


class _Casts:
    """Enters and leaves the mode around a module's forward, as a pair of hooks."""

    def __init__(self, kinds: frozenset[torch.dtype]) -> None:
        self._kinds = kinds | {torch.float32}
        self._entered: list[_Widened] = []

    def before(self, module: nn.Module, _arguments: Any) -> None:
        """Before forward."""
        kinds = {value.dtype for value in module.parameters() if value.is_floating_point()}
        dtype = torch.float64 if torch.float64 in kinds else torch.float32
        mode = _Widened(dtype, self._kinds)
        mode.__enter__()  # type: ignore[no-untyped-call]
        self._entered.append(mode)

    def after(self, _module: nn.Module, _arguments: Any, _output: Any) -> None:
        """After forward, and where it raised."""
        self._entered.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]


def cast_types(model: nn.Module) -> frozenset[torch.dtype]:
    """Return the types, beside float32, that a network's casts are to meet weights of.

    Both of half precision where any parameter or buffer is in half precision, since casts go both
    ways, and float64 where a parameter is; a buffer in float64 is mixed with other types as it is.
    """
    tensors = (*model.parameters(), *model.buffers())
    half = _HALF if any(value.dtype in _HALF for value in tensors) else ()
    double = any(value.dtype == torch.float64 for value in model.parameters())
    return frozenset((*half, torch.float64) if double else half)


def widen_casts(model: nn.Module, kinds: frozenset[torch.dtype]) -> None:
    """Let a network in one precision take its casts to other types for casts to its own.

    Args:
        model: the network.
        kinds: the types.
    """
    casts = _Casts(kinds)
    model.register_forward_pre_hook(casts.before)
    model.register_forward_hook(casts.after, always_call=True)
