"""Scratch that reductions share, so that their pieces cost no allocations."""

from collections.abc import Sequence

import torch
from torch import Tensor

from primitives._segmented import Segmentation


class Workspace:
    """Buffers by slot and type, grown to the largest piece that asked for them."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[int, torch.dtype], Tensor] = {}
        self._latest: dict[tuple[int, torch.dtype], Tensor] = {}
        self._segmentations: dict[tuple[tuple[int, ...], int, torch.device], Segmentation] = {}

    def like(self, piece: Tensor, slot: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """Give scratch shaped as a piece; it holds until the slot is asked for again.

        Args:
            piece: Any shape.
            slot: Which scratch, so that several can be used at a time.
            dtype: Of the scratch; None for that of the piece.
        """
        key = (slot, dtype or piece.dtype)
        # Most pieces are shaped as the one before.
        latest = self._latest.get(key)
        if latest is not None and latest.shape == piece.shape and latest.device == piece.device:
            return latest
        buffer = self._buffers.get(key)
        if buffer is None or buffer.numel() < piece.numel() or buffer.device != piece.device:
            buffer = torch.empty(piece.numel(), dtype=key[1], device=piece.device)
            self._buffers[key] = buffer
        self._latest[key] = buffer[: piece.numel()].view(piece.shape)
        return self._latest[key]

    def segments(self, starts: Sequence[int], block: Tensor) -> Segmentation:
        """Give the segmentation of a block, which other blocks of its length may have, too.

        Args:
            starts: Where each segment starts.
            block: (..., elements).
        """
        key = (tuple(starts), block.shape[-1], block.device)
        if key not in self._segmentations:
            self._segmentations[key] = Segmentation(*key)
        return self._segmentations[key]

    def double(self, piece: Tensor, slot: int = 0) -> Tensor:
        """Give a float64 copy of a piece, in scratch."""
        return self.like(piece, slot, torch.float64).copy_(piece)
