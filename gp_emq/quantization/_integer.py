"""Convolutions over integers: the same sums as over fake-quantized floats, several times faster.

Where inputs are unsigned integers of at most 8 bits and weights signed ones, oneDNN's 8-bit
convolution accumulates their products exactly and multiplies by the two scales once. Floats
holding the same grid values give the same sums up to their rounding.
"""

import torch
from torch import Tensor, nn

from gp_emq.quantization._uniform import QuantizationParameters, quantize

_INPUT_MAX = 255


def integer_convolution_available() -> bool:
    """Say whether this torch has oneDNN's 8-bit convolution on this machine."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    operators = torch.ops.onednn
    if not (hasattr(operators, "qconv_prepack") and hasattr(operators, "qconv_pointwise")):
        return False
    grid = QuantizationParameters(torch.tensor(0.5), torch.tensor(1.0), 0, _INPUT_MAX)
    layer = IntegerConv2d(nn.Conv2d(1, 1, 1, bias=False), grid)
    try:
        layer.take(layer.pack(torch.full((1, 1, 1, 1), 3), torch.tensor(2.0)))
        return bool(layer(torch.full((1, 1, 1, 1), 4.0)).item() == 24.0)
    except (RuntimeError, NotImplementedError):
        return False


def fits_integer_convolution(
    module: nn.Module, activation: QuantizationParameters, weight: QuantizationParameters
) -> bool:
    """Say whether a layer can run over integers with these grids."""
    return (
        isinstance(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and weight.quant_min < 0
        and activation.quant_min == 0
        and activation.quant_max <= _INPUT_MAX
    )


class PackedWeight:
    """An integer weight in the layout that oneDNN wants.

    Args:
        data: the packed integers.
        scale: float32 (out,).
        zero_point: int64 zeros (out,).
    """

    __slots__ = ("data", "scale", "zero_point")

    def __init__(self, data: Tensor, scale: Tensor, zero_point: Tensor) -> None:
        self.data = data
        self.scale = scale
        self.zero_point = zero_point


class IntegerConv2d(nn.Module):
    """A convolution that quantizes its float input and multiplies integers.

    Args:
        convolution: the float convolution whose place it takes.
        activation: the grid of its input, per tensor and unsigned.
    """

    def __init__(self, convolution: nn.Conv2d, activation: QuantizationParameters) -> None:
        super().__init__()
        assert not isinstance(convolution.padding, str)  # noqa: S101 - checked by the caller
        self._stride = list(convolution.stride)
        self._padding = list(convolution.padding)
        self._dilation = list(convolution.dilation)
        self._groups = convolution.groups
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._activation = activation
        self._scale = float(activation.scale)
        self._zero_point = int(activation.zero_point)
        self._weight: PackedWeight | None = None

    def pack(self, integers: Tensor, scale: Tensor) -> PackedWeight:
        """Pack integers (out, in, kh, kw) with their scale, () or (out, 1, 1, 1)."""
        scales = scale.reshape(-1).expand(integers.shape[0]).contiguous()
        data = torch.ops.onednn.qconv_prepack(
            integers.to(torch.int8),
            scales,
            self._scale,
            self._zero_point,
            self._stride,
            self._padding,
            self._dilation,
            self._groups,
            None,
        )
        zero_point = torch.zeros(integers.shape[0], dtype=torch.int64)
        return PackedWeight(data, scales, zero_point)

    def take(self, weight: PackedWeight) -> None:
        """Use a packed weight from now on."""
        self._weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 (n, in, h, w) to float32 (n, out, h', w')."""
        weight = self._weight
        if weight is None:
            raise RuntimeError("an IntegerConv2d runs only after it took a weight")
        integers = quantize(x, self._activation).to(torch.uint8)
        result: Tensor = torch.ops.onednn.qconv_pointwise(
            integers.contiguous(memory_format=torch.channels_last),
            self._scale,
            self._zero_point,
            weight.data,
            weight.scale,
            weight.zero_point,
            self._bias,
            self._stride,
            self._padding,
            self._dilation,
            self._groups,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        return result
