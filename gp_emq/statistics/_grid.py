"""The quantization grids of all layers' weights at all widths, and the perturbation."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gp_emq.quantization import QuantizationParameters, WeightQuantizer, fake_quantize
from gp_emq.statistics._layout import Layout

_OF_GROUPS = 5


@dataclass(frozen=True)
class WeightGrids:
    """What it takes to recompute the perturbation from the weights.

    Attributes:
        layout: Layout of the weights.
        rows: Number of scales of each tensor: 1, its output channels, or their groups.
        values: float32 (bits, Σ rows, 4): scale, zero point, smallest and largest integer; where
            scales are of groups (bits, Σ rows, 5), with the values that a whole group has.
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
        if quantizer.group is not None:
            values = with_groups(values, quantizer.group)
        return cls(layout, rows, values)

    @classmethod
    def unpack(cls, layout: Layout, values: Tensor) -> "WeightGrids":
        """Read back `values`, whose number of rows tells per tensor from per channel.

        Raises:
            ValueError: The number of rows is neither, nor that of the groups.
        """
        channels = tuple(shape[0] for shape in layout.shapes)
        known = [(1,) * len(channels), channels]
        if values.shape[2] == _OF_GROUPS:
            group = int(values[0, 0, 4])
            known = [
                tuple(
                    shape[0] * -(-math.prod(shape[1:]) // group) for shape in layout.shapes
                )
            ]  # fmt: skip
        for rows in known:
            if values.shape[1] == sum(rows):
                return cls(layout, rows, values)
        raise ValueError(f"{values.shape[1]} scales fit no layout of {len(channels)} tensors")

    @property
    def of_groups(self) -> bool:
        """Whether scales are of groups."""
        return self.values.shape[2] == _OF_GROUPS

    def by_element(self) -> Tensor:
        """Return the values of groups with a row for each element of the weights."""
        group, parts = int(self.values[0, 0, 4]), []
        for shape, part in zip(
            self.layout.shapes, torch.split(self.values, list(self.rows), dim=1), strict=True
        ):
            length = math.prod(shape[1:])
            spread = part.view(len(part), shape[0], -1, _OF_GROUPS)
            spread = spread.repeat_interleave(group, dim=2)[:, :, :length]
            parts.append(spread.reshape(len(part), -1, _OF_GROUPS))
        return with_groups(torch.cat(parts, dim=1), 1)

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
        tensors = zip(bounds, self.rows, first_rows, self.layout.shapes, strict=False)
        for (begin, end), rows, row, tensor in tensors:
            low, high = max(begin, start), min(end, stop)
            if low >= high:
                continue
            # Whole channels are quantized, so that their scales fit, then cut.
            channels = 1 if rows == 1 else tensor[0]
            width, groups = (end - begin) // channels, rows // channels
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
                grid = _unpack(table[row + top * groups : row + bottom * groups], groups)
                moved = fake_quantize(values.view(shape), grid).view(-1) - values
                result[index, low - start : high - start] = moved[cut]
        return result


def _pack(parameters: QuantizationParameters) -> Tensor:
    """Bring one tensor's grid to float32 (rows, 4)."""
    scale = parameters.scale.reshape(-1).to("cpu", torch.float32)
    zero_point = parameters.zero_point.reshape(-1).to("cpu", torch.float32)
    ends = torch.tensor([parameters.quant_min, parameters.quant_max], dtype=torch.float32)
    return torch.cat([torch.stack([scale, zero_point], dim=1), ends.expand(len(scale), 2)], dim=1)


def with_groups(values: Tensor, group: int) -> Tensor:
    """Say in values (bits, rows, 4 or 5) how many values of a channel have a row."""
    return torch.cat([values[..., :4], torch.full_like(values[..., :1], group)], dim=-1)


def _unpack(rows: Tensor, groups: int) -> QuantizationParameters:
    """Turn (channels · groups, 4 or 5) back into a grid whose scale is (channels, groups)."""
    return QuantizationParameters(
        scale=rows[:, 0].view(-1, groups),
        zero_point=rows[:, 1].view(-1, groups),
        quant_min=int(rows[0, 2]),
        quant_max=int(rows[0, 3]),
        group=int(rows[0, 4]) if groups > 1 else None,
    )
