"""Quantizers: which grid a weight or an activation gets."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gp_emq.networks import Granularity
from gp_emq.quantization._names import INPUT_RULES
from gp_emq.quantization._ranges import check_scales
from gp_emq.quantization._scales import check_rule, choose_parameters, shaped_parameters
from gp_emq.quantization._uniform import QuantizationParameters


@dataclass(frozen=True)
class WeightQuantizer:
    """How weights are quantized; batch norm is not folded into them.

    Attributes:
        symmetric: signed grid around zero, else unsigned with a zero point.
        per_channel: one scale per output channel (first axis), else one per tensor.
        scale_rule: one of `SCALE_RULES`; see `choose_parameters`.
        group: how many values of an output channel share a scale, with `per_channel`; `None` for
            all of them. Groups run along the inputs of a linear layer, and along inputs and
            kernel of a convolution; the last one of a channel is shorter where they do not fill
            it.

    Raises:
        ValueError: if the scale rule is unknown, or the group is none.
    """

    symmetric: bool = True
    per_channel: bool = False
    scale_rule: str = "mse"
    group: int | None = None

    def __post_init__(self) -> None:
        check_rule(self.scale_rule)
        Granularity(self.per_channel, self.group)

    @classmethod
    def of(
        cls, granularity: Granularity, *, symmetric: bool = True, scale_rule: str = "mse"
    ) -> "WeightQuantizer":
        """Make the quantizer of a granularity."""
        return cls(symmetric, granularity.per_channel, scale_rule, granularity.group)

    @property
    def granularity(self) -> Granularity:
        """What of a weight shares a scale."""
        return Granularity(self.per_channel, self.group)

    def document(self) -> dict[str, Any]:
        """Return the settings as plain values; groups are said where there are any."""
        values = asdict(self)
        if self.group is None:
            del values["group"]
        return values

    def parameters(self, weight: Tensor, bits: int, name: str = "") -> QuantizationParameters:
        """Choose the grid of one layer's weight.

        Args:
            weight: floating-point (out, ...).
            bits: 2 to 8.
            name: of the layer, for the complaint.

        Returns:
            The grid, its scale shaped () or (out, 1, ...), or (out, groups) where a channel has
            several.

        Raises:
            QuantizationError: if the weight is too small for a scale in float32; an output channel
                that is nothing beside the largest may be.
        """
        rows = weight.detach().reshape(weight.shape[0] if self.per_channel else 1, -1)
        groups = self.granularity.groups(rows.shape[1])
        # A group that has all of a channel is the channel.
        group = self.group if groups > 1 else None
        chosen = [
            (*choose_parameters(part, bits, symmetric=self.symmetric, rule=self.scale_rule),
             part.abs().amax(1))
            for part in _alike(rows, group)
        ]  # fmt: skip
        scale, zero_point, largest = (
            torch.cat([of.reshape(len(rows), -1) for of in those], dim=1).reshape(-1)
            for those in zip(*chosen, strict=True)
        )
        of = f"layer {name!r}" if name else "a layer"
        check_scales(scale, largest, bits, f"the weights of {of}")
        shape = (weight.shape[0], *[1] * (weight.dim() - 1)) if self.per_channel else ()
        if group is not None:
            shape = (len(rows), groups)
        made = shaped_parameters(scale, zero_point, bits, shape, symmetric=self.symmetric)
        return replace(made, group=group)


def _alike(rows: Tensor, group: int | None) -> list[Tensor]:
    """Cut rows into what shares a scale: first all groups of full length, then the last ones."""
    if group is None:
        return [rows]
    full = rows.shape[1] // group * group
    parts = [rows[:, :full].reshape(-1, group)]
    return parts if full == rows.shape[1] else [*parts, rows[:, full:]]


@dataclass(frozen=True)
class ActivationQuantizer:
    """How the inputs of layers are quantized: one scale and zero point per tensor.

    Attributes:
        bits: 2 to 8.
        symmetric: signed grid around zero, else unsigned with a zero point.
        scale_rule: one of `INPUT_RULES`: `"minmax"` spans all there is; `"robust"` all but
            outliers, `"percentile"` and `"mse"` are chosen without them. What an outlier is
            `calibrate_activations` says.

    Raises:
        ValueError: if the scale rule is unknown.
    """

    bits: int = 8
    symmetric: bool = False
    scale_rule: str = "minmax"

    def __post_init__(self) -> None:
        if self.scale_rule not in INPUT_RULES:
            raise ValueError(
                f"scale rule of inputs must be one of {', '.join(INPUT_RULES)}, not "
                f"{self.scale_rule!r}"
            )
