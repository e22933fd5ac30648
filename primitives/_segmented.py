"""Reductions over many segments at once in a few operations, for devices that launches cost dearly.

First the whole block is reduced in chunks of one length, then each segment combines the chunks
that lie in it with the elements at its ends that no such chunk holds.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

CHUNK = 1024
"""Elements of a chunk."""


class Segmentation:
    """The segments of blocks of one length.

    Args:
        starts: Where each segment starts; the last ends with the block.
        length: Elements of the block.
        device: Where blocks lie.
    """

    def __init__(self, starts: Sequence[int], length: int, device: torch.device) -> None:
        self._chunks = length // CHUNK
        inside = torch.zeros(len(starts), self._chunks, dtype=torch.bool)
        rows = []
        for segment, (start, stop) in enumerate(pairwise((*starts, length))):
            first, last = -(-start // CHUNK), min(stop // CHUNK, self._chunks)
            if first < last:
                inside[segment, first:last] = True
                ends = [*range(start, first * CHUNK), *range(last * CHUNK, stop)]
            else:
                ends = list(range(start, stop))
            rows.append(ends)
        widest = max(map(len, rows))
        index = torch.zeros(len(starts), widest, dtype=torch.int64)
        known = torch.zeros(len(starts), widest, dtype=torch.bool)
        for segment, ends in enumerate(rows):
            index[segment, : len(ends)] = torch.tensor(ends, dtype=torch.int64)
            known[segment, : len(ends)] = True
        self._inside, self._index, self._known = (
            part.to(device) for part in (inside, index, known)
        )

    def sums(self, values: Tensor) -> Tensor:
        """Sum each segment in float64.

        Args:
            values: (elements,) or (bits, elements).

        Returns:
            float64 (segments,) or (segments, bits).
        """
        chunks = self._in_chunks(values).sum(-1, dtype=torch.float64)
        ends = values[..., self._index].double().masked_fill(~self._known, 0.0).sum(-1)
        # Not a matrix product: what is not finite in one segment must not reach another.
        whole = chunks.unsqueeze(-2).masked_fill(~self._inside, 0.0).sum(-1)
        return _segments_first(whole + ends)

    def extremes(self, values: Tensor, *, largest: bool) -> Tensor:
        """Give the smallest or largest element of each segment, shaped as `sums`."""
        fill = -torch.inf if largest else torch.inf
        reduce = torch.amax if largest else torch.amin
        ends = values[..., self._index].masked_fill(~self._known, fill)
        if self._chunks:
            chunks = reduce(self._in_chunks(values), dim=-1).unsqueeze(-2)
            ends = torch.cat([ends, chunks.masked_fill(~self._inside, fill)], dim=-1)
        return _segments_first(reduce(ends, dim=-1).double())

    def _in_chunks(self, values: Tensor) -> Tensor:
        whole = values[..., : self._chunks * CHUNK]
        return whole.reshape(*values.shape[:-1], self._chunks, CHUNK)


def _segments_first(values: Tensor) -> Tensor:
    return values.T if values.dim() == 2 else values
