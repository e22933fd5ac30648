"""Networks in half precision that cast tensors themselves, run in the precision that we give them.

A network whose weights are float16 casts its input to float16. In a copy whose weights are float32
that cast would meet weights of another type, and what comes after it would be rounded.
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
}
_CASTS = (Tensor.to, Tensor.type)
_NAMES = {
    "torch.HalfTensor": torch.float16,
    "torch.BFloat16Tensor": torch.bfloat16,
    "torch.FloatTensor": torch.float32,
}


class _Widened(TorchFunctionMode):
    """Inside the block, whatever asks for a floating type narrower than `dtype` gets that."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

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
        if not isinstance(dtype, torch.dtype) or dtype not in (*_HALF, torch.float32):
            return value
        return torch.promote_types(dtype, self._dtype)


class _Casts:
    """Enters and leaves the mode around a module's forward, as a pair of hooks."""

    def __init__(self) -> None:
        self._entered: list[_Widened] = []

    def before(self, module: nn.Module, _arguments: Any) -> None:
        """Before forward."""
        kinds = {value.dtype for value in module.parameters() if value.is_floating_point()}
        mode = _Widened(torch.float64 if torch.float64 in kinds else torch.float32)
        mode.__enter__()  # type: ignore[no-untyped-call]
        self._entered.append(mode)

    def after(self, _module: nn.Module, _arguments: Any, _output: Any) -> None:
        """After forward, and where it raised."""
        self._entered.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]


def is_half(model: nn.Module) -> bool:
    """Tell whether a network has parameters or buffers in half precision."""
    return any(value.dtype in _HALF for value in (*model.parameters(), *model.buffers()))


def widen_casts(model: nn.Module) -> None:
    """Let a network in full precision take its own casts to half precision for casts to its own."""
    casts = _Casts()
    model.register_forward_pre_hook(casts.before)
    model.register_forward_hook(casts.after, always_call=True)
