"""Whether a network treats an image in a batch as it treats the image alone."""

import contextlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError, StatisticsError
from gp_emq.networks import Samples, count, showing, split
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
    weights = [value.detach().to(dtype) for value in network.weights()]
    modules = network.modules
    together: dict[nn.Module, list[_Together]] = {module: [] for module in modules}
    calls: Counter[nn.Module] = Counter()
    differ: set[nn.Module] = set()

    def keep(module: nn.Module, output: Tensor) -> None:
        together[module].append(_Together(output.clone()))

    def compare(module: nn.Module, output: Tensor) -> None:
        place, batch = calls[module], together[module]
        calls[module] += 1
        left[module] -= output.numel()
        if place >= len(batch) or not batch[place].has_row(index, output, count(images)):
            differ.add(module)

    with torch.no_grad():
        with showing(modules, keep):
            logits = network.logits(weights, images, dtype=dtype)
        _check_finite(logits, first)
        outputs = _Together(logits)
        left = {
            module: sum(call.values.numel() for call in batch) for module, batch in together.items()
        }
        is_alike = True
        with showing(modules, compare):
            for index, image in enumerate(split(images, 1)):
                calls.clear()
                logits = network.logits(weights, image, dtype=dtype)
                _check_finite(logits, first + index)
                is_alike &= outputs.is_close(index, logits)
                differ |= {
                    module for module, batch in together.items() if len(batch) != calls[module]
                }
    rows = [module not in differ for module in modules]
    return torch.tensor([is_alike, not any(left.values()), *rows], dtype=torch.int64)


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
        return _largest(self.values)

    def has_row(self, index: int, alone: Tensor, count: int) -> bool:
        """Say whether row `index`, of `count`, is what the image gives alone."""
        if self.values.shape != (count, *alone.shape[1:]) or alone.shape[:1] != (1,):
            return False
        return self.is_close(index, alone)

    def is_close(self, index: int, alone: Tensor) -> bool:
        """Say whether row `index` differs from what the image gives alone by rounding at most."""
        row = self.values[index : index + 1]
        if row.shape != alone.shape:
            return False
        types = {torch.float64: _DOUBLE, torch.float32: _SINGLE}
        # Under autocast a number may round up in one order of summation and down in another.
        relative = types.get(row.dtype, 8 * torch.finfo(row.dtype).eps)
        return _largest(row - alone) <= relative * self.largest


def _largest(values: Tensor) -> float:
    """Return the largest value, by size; NaN where there is one."""
    low, high = torch.aminmax(values.detach())
    return float(torch.maximum(-low, high))


def _check_finite(logits: Tensor, first: int) -> None:
    finite = logits.isfinite().all(dim=1)
    if not bool(finite.all()):
        where = first + int(finite.int().argmin())
        hint = (
            "; where it masks, let it give a large number such as -1e4 in place of an infinity"
            if bool(logits.isinf().any()) and not bool(logits.isnan().any())
            else ""
        )
        raise StatisticsError(f"the network's output for image {where} is not finite{hint}")
