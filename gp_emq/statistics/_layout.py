"""Where each layer's tensor lies in a flat buffer."""

import itertools
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.files import shortened

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """One tensor per layer, laid end to end, ordered by entry and then by forward order.

    Because tensors of one entry are neighbours, an entry is one contiguous segment, and a
    reduction over an entry is a reduction over a slice.

    Attributes:
        shapes: Shape of each tensor.
        entries: Bit entry of each tensor; starts at 0, never decreases, leaves none out.
        offsets: Where each tensor starts, and at the end the number of elements (len + 1).

    Raises:
        StatisticsError: No tensor, an empty tensor, or entries that are not as above.
    """

    shapes: tuple[Shape, ...]
    entries: tuple[int, ...]
    offsets: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.shapes or len(self.shapes) != len(self.entries):
            raise StatisticsError(
                f"a layout needs as many entries as tensors, at least one; "
                f"got {len(self.shapes)} tensors and {len(self.entries)} entries"
            )
        steps = [after - before for before, after in itertools.pairwise(self.entries)]
        if self.entries[0] != 0 or any(step not in {0, 1} for step in steps):
            raise StatisticsError(
                f"entries must rise from 0 without a gap, got {list(self.entries)}"
            )
        sizes = [math.prod(shape) for shape in self.shapes]
        if min(sizes) == 0:
            raise StatisticsError(
                f"tensor {sizes.index(0)} of the layout is empty: "
                f"{shortened(self.shapes[sizes.index(0)])}"
            )
        object.__setattr__(self, "offsets", tuple(itertools.accumulate(sizes, initial=0)))

    @property
    def size(self) -> int:
        """Number of elements N of a flat buffer."""
        return self.offsets[-1]

    @property
    def entry_count(self) -> int:
        """Number of bit entries."""
        return self.entries[-1] + 1

    @property
    def entry_bounds(self) -> tuple[int, ...]:
        """Where each entry's segment starts, and at the end the number of elements."""
        starts = [
            offset
            for index, offset in enumerate(self.offsets[:-1])
            if index == 0 or self.entries[index] != self.entries[index - 1]
        ]
        return (*starts, self.size)

    def views(self, flat: Tensor) -> list[Tensor]:
        """Cut a flat buffer into the layers' tensors, without copying.

        Args:
            flat: (N,) or, with leading axes that stay, (..., N).

        Returns:
            One view per tensor, of shape ``(..., *shape)``.

        Raises:
            StatisticsError: The last axis is not N long.
        """
        if flat.shape[-1] != self.size:
            raise StatisticsError(
                f"a buffer of {flat.shape[-1]} elements does not fit a layout of {self.size}"
            )
        lead = flat.shape[:-1]
        return [
            flat[..., start:stop].view(*lead, *shape)
            for (start, stop), shape in zip(
                itertools.pairwise(self.offsets), self.shapes, strict=True
            )
        ]

    def sum_entries(self, flat: Tensor) -> Tensor:
        """Sum each entry's segment in float64.

        Args:
            flat: (..., N).

        Returns:
            float64 (..., entries).
        """
        return torch.stack(
            [
                flat[..., start:stop].sum(dim=-1, dtype=torch.float64)
                for start, stop in itertools.pairwise(self.entry_bounds)
            ],
            dim=-1,
        )
