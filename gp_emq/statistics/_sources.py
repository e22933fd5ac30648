"""Where statistics come from."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.statistics._cache import DamagedError, StatisticsFolder, Stored
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._header import Header
from gp_emq.statistics._layout import Layout

GRIDS = "weight_grids"
"""Name under which the quantization grids are stored beside the statistics."""

INDEPENDENCE = "independence"
"""Name of what `independence` found about the network and the images."""

ELEMENTS = "activation_elements"
"""Name of how many elements of each layer's activation are of each image."""

OUTPUT_SUMS = "output_sums"
"""Name of the sums over the layers' outputs that several statistics are parts of."""

GRADIENT_SUMS = "gradient_sums"
"""Name of the sums over images of gradients times changes that several statistics are parts of."""

ONE_AT_A_TIME, ONE_AT_A_TIME_LOW = "one_at_a_time", "one_at_a_time_low"
AS_QUANTIZED = "as_quantized"
AS_QUANTIZED_LOW = "as_quantized_low"
AS_QUANTIZED_SOUND = "as_quantized_sound"
"""Names of what is measured with one entry quantized around the float network, around that with
all entries at the lowest width, and at the lowest one at which it works."""

HIDDEN = (
    GRIDS,
    INDEPENDENCE,
    ELEMENTS,
    OUTPUT_SUMS,
    GRADIENT_SUMS,
    ONE_AT_A_TIME,
    AS_QUANTIZED,
    AS_QUANTIZED_LOW,
    AS_QUANTIZED_SOUND,
    ONE_AT_A_TIME_LOW,
)
"""What is stored beside the statistics and is none."""


class Source(Protocol):
    """Gives statistics by name: computes them, reads them, or cuts them out of others."""

    folder: Path | None

    def names(self) -> tuple[str, ...]:
        """Names that `stored` knows."""

    def stored(self, name: str) -> Stored:
        """Give one statistic, or the grids under the name `GRIDS`."""

    def weight_layout(self) -> Layout:
        """Layout of the statistics shaped as the weights."""


class FolderSource:
    """Reads what a collection left on disk, and computes nothing.

    Args:
        path: The folder of the collection.
    """

    def __init__(self, path: Path) -> None:
        self.folder: Path | None = path
        self._files = StatisticsFolder(path)
        self.header = self._files.read_header()

    def names(self) -> tuple[str, ...]:
        """Names of the stored statistics."""
        return tuple(name for name in self._files.names() if name not in HIDDEN)

    def stored(self, name: str) -> Stored:
        """Read one statistic.

        Raises:
            StatisticsError: It was not collected, or its file is damaged.
        """
        try:
            found = self._files.read(name)
        except DamagedError as error:
            raise StatisticsError(f"{error}; delete the file and collect again") from None
        if found is None:
            raise StatisticsError(
                f"{self.folder} holds no {name!r}; it holds {', '.join(self.names()) or 'none'}"
            )
        return found

    def weight_layout(self) -> Layout:
        """Layout of the statistics shaped as the weights."""
        return self.header.weight_layout


class SampleSource:
    """Cuts a small block out of each layer's tensors of another source.

    Args:
        parent: Where whole tensors come from.
        header: Identity of the parent's statistics.
        scale: How many times as much as usual to keep along each axis.
    """

    def __init__(self, parent: Source, header: Header, scale: int = 1) -> None:
        self.folder: Path | None = None
        self._parent = parent
        self._header = header
        self._scale = scale

    def names(self) -> tuple[str, ...]:
        """Names of the parent's statistics."""
        return self._parent.names()

    def stored(self, name: str) -> Stored:
        """Cut one statistic; those that are one number per entry stay whole."""
        whole = self._parent.stored(name)
        if name == GRIDS:
            return self._rows(whole)
        if whole.values.dtype.str != "<f4":
            return whole
        layout = (
            self._parent.weight_layout()
            if whole.shapes is None
            else self._header.activation_layout(whole.shapes)
        )
        most = (8, 8) if whole.shapes is None else None
        lead = whole.values.shape[:-1]
        blocks = [
            self._strided(view, most or _activation_block(view.dim() - len(lead)), len(lead))
            for view in layout.views(torch.from_numpy(whole.values))
        ]
        shapes = (
            None
            if whole.shapes is None
            else tuple(tuple(block.shape[len(lead) :]) for block in blocks)
        )
        flat = torch.cat([block.reshape(*lead, -1) for block in blocks], dim=-1)
        return Stored(flat.numpy(), whole.seconds, shapes)

    def weight_layout(self) -> Layout:
        """Layout of the cut tensors."""
        whole = self._parent.weight_layout()
        shapes = [
            tuple(self._strided(torch.empty(shape, device="meta"), (8, 8)).shape)
            for shape in whole.shapes
        ]
        return Layout(tuple(shapes), whole.entries)

    def _rows(self, whole: Stored) -> Stored:
        """Cut the grids as the output channels are cut."""
        shapes = self._parent.weight_layout().shapes
        values = torch.from_numpy(whole.values)
        grids = WeightGrids.unpack(self._parent.weight_layout(), values)
        if all(rows == 1 for rows in grids.rows):
            return whole
        if grids.of_groups:
            return self._elements(grids, whole.seconds)
        parts = torch.split(values, [shape[0] for shape in shapes], dim=1)
        cut = [self._strided(part.transpose(0, 1), (8,)).transpose(0, 1) for part in parts]
        return Stored(torch.cat(cut, dim=1).contiguous().numpy(), whole.seconds)

    def _elements(self, grids: WeightGrids, seconds: float) -> Stored:
        """Cut grids of groups as the elements are cut, whose groups no longer lie together."""
        values = grids.by_element()
        lead, columns = values.shape[0], values.shape[2]
        parts = torch.split(values, [math.prod(shape) for shape in grids.layout.shapes], dim=1)
        cut = [
            self._strided(part.view(lead, *shape, columns), (8, 8)[: len(shape)], 1)
            for part, shape in zip(parts, grids.layout.shapes, strict=True)
        ]
        flat = torch.cat([part.reshape(lead, -1, columns) for part in cut], dim=1)
        return Stored(flat.contiguous().numpy(), seconds)

    def _strided(self, tensor: Tensor, most: Sequence[int], lead: int = 0) -> Tensor:
        """Keep at most `scale · most[axis]` elements of each axis after `lead`, evenly spread."""
        for axis, limit in enumerate(most, start=lead):
            step = -(-tensor.shape[axis] // (limit * self._scale))
            start = 0 if self._scale == 1 else step // 2
            tensor = tensor[(slice(None),) * axis + (slice(start, None, step),)]
        return tensor


def _activation_block(dimensions: int) -> tuple[int, ...]:
    """Most elements to keep along each axis of an activation."""
    return {1: (8,), 2: (2, 8), 3: (2, 4, 8)}.get(dimensions, (2, 8, *[4] * (dimensions - 2)))
