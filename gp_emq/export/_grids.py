"""Which grids can be stored: of whole widths, with scales per tensor, output channel or group."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.errors import ExportError
from gp_emq.networks import Granularity, Layer
from gp_emq.quantization import (
    MAX_BITS,
    MIN_BITS,
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    integer_range,
)


@dataclass(frozen=True)
class StoredGrid:
    """A grid as files hold it.

    Attributes:
        bits: Its width.
        symmetric: Signed integers around zero, else unsigned ones with a zero point.
        scale: float32, () per tensor, (out,) per output channel or (out, groups); positive.
        zero_point: uint8 of the same shape; zeros where symmetric.
        group: Values of a channel that share a scale, None where there are no groups.
    """

    bits: int
    symmetric: bool
    scale: Tensor
    zero_point: Tensor
    group: int | None = None

    @property
    def granularity(self) -> Granularity:
        """What of a weight shares a scale."""
        return Granularity(self.scale.dim() > 0, self.group)

    @property
    def quant_max(self) -> int:
        """Largest integer of the grid."""
        return integer_range(self.bits, symmetric=self.symmetric)[1]

    @property
    def stored_bytes(self) -> int:
        """Bytes of the scales, and of the zero points where there are any."""
        return self.scale.nbytes + (0 if self.symmetric else self.zero_point.nbytes)

    def parameters(self, dimensions: int) -> QuantizationParameters:
        """Return the grid for a tensor.

        Args:
            dimensions: Of the tensor; its first axis has the channels.
        """
        shape = tuple(self.scale.shape)
        if len(shape) == 1:
            shape = (-1, *[1] * (dimensions - 1))
        quant_min, quant_max = integer_range(self.bits, symmetric=self.symmetric)
        return QuantizationParameters(
            self.scale.reshape(shape),
            self.zero_point.float().reshape(shape),
            quant_min,
            quant_max,
            self.group,
        )


def weight_grids(quantized: QuantizedModel) -> dict[str, StoredGrid]:
    """Return the grids of a network's quantized weights, in the order in which it took them.

    Args:
        quantized: The network.

    Raises:
        ExportError: A grid cannot be stored, or an integer lies beyond it.
    """
    return {name: _weight_grid(name, weight) for name, weight in quantized.weights.items()}


def check_layers(quantized: QuantizedModel, layers: Sequence[Layer]) -> None:
    """Refuse to report on layers among which a quantized one is not.

    Raises:
        ExportError: There is such a one.
    """
    known = {layer.name for layer in layers}
    for name in quantized.weights:
        if name not in known:
            raise ExportError(f"the quantized layer {name} is none of {', '.join(sorted(known))}")


def input_grids(quantized: QuantizedModel) -> dict[str, StoredGrid]:
    """Return the grids of the inputs of a network's layers.

    Args:
        quantized: The network.

    Raises:
        ExportError: A grid cannot be stored.
    """
    found = {}
    for name, parameters in quantized.activations.items():
        if parameters.scale.numel() != 1:
            raise ExportError(
                f"the input of {name} has {parameters.scale.numel()} scales: what can be stored "
                "is one"
            )
        found[name] = _stored(f"the input of {name}", parameters, ())
    return found


def integers_of(weight: QuantizedWeight) -> NDArray[np.int16]:
    """Return the integers of a quantized weight, shaped as the weight."""
    return weight.integers.detach().to("cpu", torch.int16).numpy()


def _weight_grid(name: str, weight: QuantizedWeight) -> StoredGrid:
    what = f"the weight of {name}"
    parameters, shape = weight.parameters, weight.integers.shape
    found = tuple(parameters.scale.shape)
    if parameters.group is not None:
        groups = Granularity(per_channel=True, group=parameters.group).groups(math.prod(shape[1:]))
        if found != (shape[0], groups):
            raise ExportError(
                f"{what} has scales of shape {found}: its groups of {parameters.group} values need "
                f"{(shape[0], groups)}"
            )
        grid = _stored(what, parameters, found)
    elif found == (shape[0], *[1] * (len(shape) - 1)):
        grid = _stored(what, parameters, (shape[0],))
    elif parameters.scale.numel() == 1:
        grid = _stored(what, parameters, ())
    else:
        raise ExportError(
            f"{what} has scales of shape {found}: what can be stored is one, or one for each of "
            f"the {shape[0]} output channels or of their groups"
        )
    low, high = (int(extreme) for extreme in weight.integers.aminmax())
    if low < parameters.quant_min or high > parameters.quant_max:
        raise ExportError(
            f"{what} has integers from {low} to {high}, but its grid those from "
            f"{parameters.quant_min} to {parameters.quant_max}"
        )
    return grid


def _stored(what: str, parameters: QuantizationParameters, shape: tuple[int, ...]) -> StoredGrid:
    bits = (parameters.quant_max - parameters.quant_min).bit_length()
    symmetric = parameters.quant_min < 0
    integers = (parameters.quant_min, parameters.quant_max)
    if not MIN_BITS <= bits <= MAX_BITS or integers != integer_range(bits, symmetric=symmetric):
        raise ExportError(
            f"{what} has a grid of the integers {integers[0]} to {integers[1]}: what can be stored "
            f"is -2^(b-1) to 2^(b-1)-1, or 0 to 2^b-1, with b from {MIN_BITS} to {MAX_BITS}"
        )
    scale = parameters.scale.detach().to("cpu", torch.float32).reshape(shape)
    if not bool((scale.isfinite() & (scale > 0)).all()):
        raise ExportError(f"{what} has a scale that is not positive and finite")
    zero_point = parameters.zero_point.detach().to("cpu", torch.float32).expand_as(parameters.scale)
    most = 0 if symmetric else parameters.quant_max
    if not bool(
        ((zero_point == zero_point.round()) & (zero_point >= 0) & (zero_point <= most)).all()
    ):
        raise ExportError(
            f"{what} has a zero point that is no integer of 0 to {most}, "
            f"as its {'symmetric' if symmetric else 'asymmetric'} grid needs"
        )
    return StoredGrid(
        bits, symmetric, scale, zero_point.reshape(shape).to(torch.uint8), parameters.group
    )
