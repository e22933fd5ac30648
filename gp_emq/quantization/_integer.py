"""Convolutions over integers: the same sums as over fake-quantized floats, several times faster.

Where inputs are unsigned integers of at most 8 bits and weights signed ones, oneDNN's 8-bit
convolution accumulates their products exactly and applies, in the same pass over memory,
what follows: scales, batch norm, a residual sum, ReLU, and the quantizer of the next layer.
Floats holding the same grid values give the same numbers up to their rounding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gp_emq.networks import is_linear_map
from gp_emq.quantization._uniform import QuantizationParameters

_INPUT_MAX = 255
_NO_SCALE = (1.0, 0)


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
        with torch.no_grad():
            return bool(layer(torch.full((1, 1, 1, 1), 4.0)).item() == 24.0)
    except (RuntimeError, NotImplementedError):
        return False


def fits_integer_convolution(
    module: nn.Module, activation: QuantizationParameters, weight: QuantizationParameters
) -> bool:
    """Say whether a layer can run over integers with these grids, and compute the same.

    Only torch's own convolution can, with nothing hooked into it.
    """
    return (
        isinstance(module, nn.Conv2d)
        and is_linear_map(module)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and weight.quant_min < 0
        and weight.group is None
        and activation.quant_min == 0
        and activation.quant_max == _INPUT_MAX
    )


class PackedWeight:
    """An integer weight in the layout that oneDNN wants.

    Args:
        data: the packed integers.
        scale: float32 (out,).
        integers: int8 (out, in, kh, kw), as they were.
    """

    __slots__ = ("data", "integers", "scale")

    def __init__(self, data: Tensor, scale: Tensor, integers: Tensor) -> None:
        self.data = data
        self.scale = scale
        self.integers = integers


class IntegerConv2d(nn.Module):
    """A convolution that quantizes its input and multiplies integers.

    Args:
        convolution: the float convolution whose place it takes.
        activation: the grid of its input, per tensor, unsigned, 8 bits.

    Attributes:
        norm: the batch norm applied to its output, or `None`.
        relu: whether ReLU is applied after that, and after the residual sum.
        output: the grid on which the output leaves as integers, `None` to leave as floats.
    """

    def __init__(self, convolution: nn.Conv2d, activation: QuantizationParameters) -> None:
        super().__init__()
        # Around nn.Module, of which it is no part.
        self.__dict__["_convolution"] = convolution
        self.norm: _BatchNorm | None = None
        self.relu = False
        self.output: tuple[float, int] | None = None
        self.input = (float(activation.scale), int(activation.zero_point))
        self._geometry = (
            list(convolution.stride),
            [int(side) for side in convolution.padding],
            list(convolution.dilation),
            convolution.groups,
        )
        bias = convolution.bias
        self._bias = None if bias is None else bias.detach()
        self._zeros = torch.zeros(convolution.out_channels, dtype=torch.int64)
        self._weight: PackedWeight | None = None
        self._folded: tuple[Tensor, Tensor | None] | None = None
        self._scratch = (torch.empty(0), torch.empty(0, dtype=torch.uint8))

    def __getattr__(self, name: str) -> Any:
        """Give what the convolution has, to a forward that looks at it without calling it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            convolution = self.__dict__.get("_convolution")
            if convolution is None:
                raise
            if name == "weight" and self._weight is not None:
                scale = self._weight.scale.view(-1, 1, 1, 1)
                return self._weight.integers.float() * scale
            return getattr(convolution, name)

    def pack(self, integers: Tensor, scale: Tensor) -> PackedWeight:
        """Pack integers (out, in, kh, kw) with their scale, () or (out, 1, 1, 1)."""
        scales = scale.reshape(-1).expand(integers.shape[0]).contiguous()
        small = integers.to(torch.int8)
        data = torch.ops.onednn.qconv_prepack(small, scales, *self.input, *self._geometry, None)
        return PackedWeight(data, scales, small)

    def take(self, weight: PackedWeight) -> None:
        """Use a packed weight, and the batch norm's present statistics, from now on."""
        self._weight = weight
        self._folded = None

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:  # noqa: A002 - as nn.Conv2d has it
        """Convolve, normalize, add the residual, rectify and quantize, as the attributes say.

        Args:
            input: (n, in, h, w) or (in, h, w), floats, or uint8 where it is on this layer's grid
                already.
            residual: float32 (n, out, h', w'), which is overwritten.

        Returns:
            (n, out, h', w'), float32, or uint8 where `output` is a grid.
        """
        if input.dim() == 3:
            return self.forward(input[None], residual)[0]
        x = input if input.dtype == torch.uint8 else self._quantize(input.float())
        if self.norm is not None and self.norm.training:
            return self._normalize(x, residual, self.norm)
        if self._folded is None:
            self._folded = self._fold()
        scale, bias = self._folded
        return self._convolve(x, scale, bias, residual, relu=self.relu, output=self.output)

    def _normalize(self, x: Tensor, residual: Tensor | None, norm: _BatchNorm) -> Tensor:
        """Do the steps one by one, because the batch norm needs to see its whole batch."""
        assert self._weight is not None  # noqa: S101 - narrows; take() comes first
        y = self._convolve(x, self._weight.scale, self._bias, None, relu=False, output=None)
        y = norm(y)
        self._folded = None
        if residual is not None:
            y += residual
        if self.relu:
            y.relu_()
        return y if self.output is None else _to_grid(y, self.output, y, None)

    def _fold(self) -> tuple[Tensor, Tensor | None]:
        """Return the scale (out,) and bias (out,) that include the batch norm."""
        assert self._weight is not None  # noqa: S101 - narrows; take() comes first
        norm = self.norm
        if norm is None:
            return self._weight.scale, self._bias
        assert norm.running_mean is not None  # noqa: S101 - narrows; one without is not fused
        assert norm.running_var is not None  # noqa: S101
        factor = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.affine:
            factor = factor * norm.weight.detach().double()
        shift = -norm.running_mean.double()
        if self._bias is not None:
            shift = shift + self._bias.double()
        bias = shift * factor
        if norm.affine:
            bias = bias + norm.bias.detach().double()
        return (self._weight.scale.double() * factor).float(), bias.float()

    def _quantize(self, x: Tensor) -> Tensor:
        # Scratch is kept between calls: fresh memory costs several passes over it.
        if self._scratch[0].shape != x.shape:
            self._scratch = (
                torch.empty_like(x, memory_format=torch.channels_last),
                torch.empty_like(x, dtype=torch.uint8, memory_format=torch.channels_last),
            )
        return _to_grid(x, self.input, *self._scratch)

    def _convolve(
        self,
        x: Tensor,
        scale: Tensor,
        bias: Tensor | None,
        residual: Tensor | None,
        *,
        relu: bool,
        output: tuple[float, int] | None,
    ) -> Tensor:
        assert self._weight is not None  # noqa: S101 - narrows; take() comes first
        operands = (x, *self.input, self._weight.data, scale, self._zeros)
        result = (*(output or _NO_SCALE), torch.float32 if output is None else torch.uint8)
        activation = "relu" if relu else "none"
        operators = torch.ops.onednn
        made: Tensor
        if residual is None:
            made = operators.qconv_pointwise(
                *operands, bias, *self._geometry, *result, activation, [], ""
            )
        else:
            residual = residual.contiguous(memory_format=torch.channels_last)
            made = operators.qconv2d_pointwise.binary(
                *operands,
                residual,
                bias,
                *self._geometry,
                *result,
                *_NO_SCALE,
                "sum",
                1.0,
                activation,
                [],
                "",
            )
        return made


def _to_grid(x: Tensor, grid: tuple[float, int], floats: Tensor, integers: Tensor | None) -> Tensor:
    """Round to a grid's integers, uint8, by way of two tensors that are overwritten."""
    torch.div(x, grid[0], out=floats)
    floats.round_()
    if grid[1]:
        floats.add_(grid[1])
    floats.clamp_(0, _INPUT_MAX)
    return floats.to(torch.uint8) if integers is None else integers.copy_(floats)
