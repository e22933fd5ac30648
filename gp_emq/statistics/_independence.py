"""Whether a network treats an image in a batch as it treats the image alone."""

import contextlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gp_emq.errors import NetworkError, StatisticsError
from gp_emq.networks import Call, Samples, count, split, watching
from gp_emq.statistics._network import FunctionalNetwork

_SINGLE, _DOUBLE = 1e-5, 1e-9
"""Differences, relative to the largest value, that are the rounding of float32 and float64."""


def independence(network: FunctionalNetwork, images: Samples, chunk: int) -> Tensor:
    """Compare what the network does with each image alone and in a chunk of images.

    Args:
        network: The network.
        images: (n, ...).
        chunk: Images at once.

    Returns:
        int64 (2 + layers,): first 1 if every image's outputs are those that it has alone, then 1
        if layers give as many numbers for a batch as for its images alone, which they do not where
        images share a call, then for each layer 1 if besides, each of its calls takes and gives
        one row for each image.

    Raises:
        StatisticsError: An output is not finite.
    """
    answer = torch.ones(2 + len(network.layers), dtype=torch.int64)
    if count(images) == 1:
        answer[2:] = 0
    first = 0
    for part in split(images, chunk):
        found = _compared(network, part, torch.float32, first)
        if not bool(found.all()):
            # What differs in float32 may be rounding; in float64 rounding is far smaller. A network
            # that mixes types itself takes no float64.
            with contextlib.suppress(NetworkError):
                found |= _compared(network, part, torch.float64, first)
        answer &= found
        first += count(part)
    if not answer[0]:
        answer[2:] = 0
    return answer


def _compared(
    network: FunctionalNetwork, images: Samples, dtype: torch.dtype, first: int
) -> Tensor:
    """Compare one chunk, in one floating type."""
    with torch.no_grad():
        together, rows = _run(network, images, dtype)
        _check_finite(together, first)
        answer = torch.ones(2 + len(rows), dtype=torch.int64)
        left = [sum(call.output.numel() for call in calls) for calls in rows]
        outputs = _Together(together)
        batches = [[_Together(call.output) for call in calls] for calls in rows]
        alone = (_run(network, image, dtype) for image in split(images, 1))
        for index, (logits, calls) in enumerate(alone):
            _check_finite(logits, first + index)
            answer[0] &= outputs.is_close(index, logits)
            for place, (batch, single) in enumerate(zip(batches, calls, strict=True)):
                left[place] -= sum(call.output.numel() for call in single)
                answer[2 + place] &= len(batch) == len(single) and all(
                    one.has_row(index, other.output, count(images))
                    for one, other in zip(batch, single, strict=True)
                )
        answer[1] = not any(left)
    return answer


def _run(
    network: FunctionalNetwork, images: Samples, dtype: torch.dtype
) -> tuple[Tensor, list[list[Call]]]:
    weights = [value.detach().to(dtype) for value in network.weights()]
    with watching(network.modules) as records:
        logits = network.logits(weights, images, dtype=dtype)
    return logits, list(records)


@dataclass(frozen=True)
class _Together:
    """What a chunk of images gives.

    Attributes:
        values: (n, ...), where every image has a row.
    """

    values: Tensor

    @cached_property
    def largest(self) -> float:
        """The largest value, by size; looked for once for all images."""
        return float(self.values.abs().max())

    def has_row(self, index: int, alone: Tensor, count: int) -> bool:
        """Say whether row `index`, of `count`, is what the image gives alone."""
        if self.values.shape != (count, *alone.shape[1:]) or alone.shape[:1] != (1,):
            return False
        return self.is_close(index, alone)

    def is_close(self, index: int, alone: Tensor) -> bool:
        """Say whether row `index` differs from what the image gives alone by rounding at most."""
        row = self.values[index : index + 1]
        types = {torch.float64: _DOUBLE, torch.float32: _SINGLE}
        # Under autocast a number may round up in one order of summation and down in another.
        relative = types.get(row.dtype, 8 * torch.finfo(row.dtype).eps)
        return float((row - alone).abs().max()) <= relative * self.largest


def _check_finite(logits: Tensor, first: int) -> None:
    finite = logits.isfinite().all(dim=1)
    if not bool(finite.all()):
        where = first + int(finite.int().argmin())
        raise StatisticsError(f"the network's output for image {where} is not finite")
