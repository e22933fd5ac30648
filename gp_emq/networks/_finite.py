"""Refusing networks whose numbers are none."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from gp_emq.errors import DataError, NetworkError
from gp_emq.networks._sparse import values_of


def check_finite(model: nn.Module) -> None:
    """Refuse a network with parameters or buffers that are not finite.

    A buffer may hold infinities, as masks of attention do, unless it is a norm's statistic.

    Args:
        model: the network.

    Raises:
        NetworkError: if a value is not finite; the message names parameter or buffer.
    """
    for name, parameter in model.named_parameters():
        _refuse(name, parameter, bool(parameter.isfinite().all()))
    for prefix, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is None or not buffer.is_floating_point():
                continue
            values = values_of(buffer)
            wrong = ~values.isfinite() if isinstance(module, _NormBase) else values.isnan()
            _refuse(f"{prefix}.{name}" if prefix else name, values, not bool(wrong.any()))


def check_present(model: nn.Module) -> None:
    """Refuse a network without numbers.

    Args:
        model: the network.

    Raises:
        NetworkError: if a parameter or a buffer is on the meta device.
    """
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if value.is_meta:
            raise NetworkError(
                f"{name} is on the meta device, which holds no numbers: load the weights first"
            )


def _refuse(name: str, value: Tensor, is_finite: bool) -> None:
    if is_finite:
        return
    wrong = ~value.detach().isfinite()
    where = tuple(int(index) for index in torch.nonzero(wrong)[0])
    raise NetworkError(
        f"{name} holds {value.detach()[where].item()} at {list(where)} and {int(wrong.sum())} "
        "such values in all: weights and statistics must be finite"
    )


def vanishes(value: Tensor) -> bool:
    """Tell whether a tensor that is not all zero would have no normal number in float32."""
    if value.dtype != torch.float64 or value.numel() == 0:
        return False
    largest = float(value.detach().abs().amax())
    return 0 < largest < torch.finfo(torch.float32).tiny


def in_single_precision(values: Tensor, what: str) -> Tensor:
    """Return values as float32.

    Args:
        values: of any type.
        what: they are, for the complaint.

    Raises:
        DataError: if all are too small for that.
    """
    if vanishes(values):
        raise DataError(
            f"{what} are at most {float(values.abs().amax()):.3g}: too small for float32, in which "
            "everything is computed; multiply them"
        )
    return values.to(torch.float32)


def check_numbers(values: Tensor, what: str) -> None:
    """Refuse tensors that are not dense real numbers in memory.

    Args:
        values: of any type.
        what: they are, for the complaint.

    Raises:
        DataError: if they are complex, sparse, or on the meta device.
    """
    if values.is_complex():
        raise DataError(f"{what} must be real numbers, they are {values.dtype}")
    if values.is_meta or values.layout != torch.strided:
        place = "on the meta device" if values.is_meta else str(values.layout)
        raise DataError(f"{what} must be dense tensors that hold numbers, they are {place}")
