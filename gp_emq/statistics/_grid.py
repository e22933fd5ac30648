"""The quantization grids of all layers' weights at all widths, and the perturbation."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gp_emq.quantization import QuantizationParameters, WeightQuantizer, fake_quantize
from gp_emq.statistics._layout import Layout


@dataclass(frozen=True)
class WeightGrids:
    """What it takes to recompute the perturbation from the weights.

    Attributes:
        layout: Layout of the weights.
        rows: Number of scales of each tensor: 1, or its output channels.
        values: float32 (bits, Σ rows, 4): scale, zero point, smallest and largest integer.
    """

    layout: Layout
    rows: tuple[int, ...]
    values: Tensor

    @classmethod
    def choose(
        cls,
        weight: Tensor,
        layout: Layout,
        bits: Sequence[int],
        quantizer: WeightQuantizer,
        names: Sequence[str] | None = None,
    ) -> "WeightGrids":
        """Let the quantizer choose the grid of each tensor at each width.

        Args:
            weight: float32 (N,).
            layout: Its layout.
            bits: The widths.
            quantizer: The protocol's weight quantizer.
            names: Of the layers, for complaints.
        """
        named = list(zip(names or [""] * len(layout.shapes), layout.views(weight), strict=True))
        table = [
            [quantizer.parameters(tensor, width, name) for name, tensor in named] for width in bits
        ]
        rows = tuple(parameters.scale.numel() for parameters in table[0])
        values = torch.stack(
            [torch.cat([_pack(parameters) for parameters in row]) for row in table]
        )
        return cls(layout, rows, values)

    @classmethod
    def unpack(cls, layout: Layout, values: Tensor) -> "WeightGrids":
        """Read back `values`, whose number of rows tells per tensor from per channel.

        Raises:
            ValueError: The number of rows is neither.
        """
        channels = tuple(shape[0] for shape in layout.shapes)
        for rows in ((1,) * len(channels), channels):
            if values.shape[1] == sum(rows):
                return cls(layout, rows, values)
        raise ValueError(f"{values.shape[1]} scales fit no layout of {len(channels)} tensors")

    def perturbation(self, weight: Tensor, start: int, stop: int) -> Tensor:
        """Compute the quantized weight minus the weight for a range of elements.

        Any range gives the same values, to the last bit, as the whole.

        Args:
            weight: float32 (N,).
            start: First element.
            stop: End of the range.

        Returns:
            float32 (bits, stop − start).
        """
        result = torch.empty(len(self.values), stop - start)
        first_rows = itertools.accumulate(self.rows, initial=0)
        bounds = itertools.pairwise(self.layout.offsets)
        for (begin, end), rows, row in zip(bounds, self.rows, first_rows, strict=False):
            low, high = max(begin, start), min(end, stop)
            if low >= high:
                continue
            # Whole rows are quantized, so that their scales broadcast, then cut.
            width = (end - begin) // rows
            top, bottom = (low - begin) // width, -(-(high - begin) // width)
            here = (
                slice(low, high)
                if rows == 1
                else slice(begin + top * width, begin + bottom * width)
            )
            values = weight[here]
            shape = (1, -1) if rows == 1 else (-1, width)
            cut = slice(low - here.start, high - here.start)
            for index, table in enumerate(self.values):
                grid = _unpack(table[row + top : row + bottom])
                moved = fake_quantize(values.view(shape), grid).view(-1) - values
                result[index, low - start : high - start] = moved[cut]
        return result


def _pack(parameters: QuantizationParameters) -> Tensor:
    """Bring one tensor's grid to float32 (rows, 4)."""
    scale = parameters.scale.reshape(-1).to("cpu", torch.float32)
    zero_point = parameters.zero_point.reshape(-1).to("cpu", torch.float32)
    ends = torch.tensor([parameters.quant_min, parameters.quant_max], dtype=torch.float32)
    return torch.cat([torch.stack([scale, zero_point], dim=1), ends.expand(len(scale), 2)], dim=1)


def _unpack(rows: Tensor) -> QuantizationParameters:
    """Turn (rows, 4) back into a grid whose scale is (rows, 1)."""
    return QuantizationParameters(
        scale=rows[:, 0:1],
        zero_point=rows[:, 1:2],
        quant_min=int(rows[0, 2]),
        quant_max=int(rows[0, 3]),
    )
