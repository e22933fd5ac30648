"""Quantizers: which grid a weight or an activation gets."""

from dataclasses import dataclass

from torch import Tensor

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

    Raises:
        ValueError: if the scale rule is unknown.
    """

    symmetric: bool = True
    per_channel: bool = False
    scale_rule: str = "mse"

    def __post_init__(self) -> None:
        check_rule(self.scale_rule)

    def parameters(self, weight: Tensor, bits: int, name: str = "") -> QuantizationParameters:
        """Choose the grid of one layer's weight.

        Args:
            weight: floating-point (out, ...).
            bits: 2 to 8.
            name: of the layer, for the complaint.

        Returns:
            The grid, its scale shaped () or (out, 1, ...).

        Raises:
            QuantizationError: if the weight is too small for a scale in float32; an output channel
                that is nothing beside the largest may be.
        """
        rows = weight.detach().reshape(weight.shape[0] if self.per_channel else 1, -1)
        scale, zero_point = choose_parameters(
            rows, bits, symmetric=self.symmetric, rule=self.scale_rule
        )
        of = f"layer {name!r}" if name else "a layer"
        check_scales(scale, rows.abs().amax(1), bits, f"the weights of {of}")
        shape = (weight.shape[0], *[1] * (weight.dim() - 1)) if self.per_channel else ()
        return shaped_parameters(scale, zero_point, bits, shape, symmetric=self.symmetric)


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
