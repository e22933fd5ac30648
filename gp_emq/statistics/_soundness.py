"""How far quantized networks are from what the float network answers, and what they still say."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gp_emq.networks import count, in_double
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._renormed import renewing


def shares_explained(
    network: FunctionalNetwork,
    others: Iterable[FunctionalNetwork],
    batch: Batch,
    *,
    renormed: bool = False,
) -> Tensor:
    """Say how much of the float network's answers others explain, as a regression's R² does.

    It is one less the ratio of two divergences from the float network's answers: that of the other
    network's, and that of their own mean, which says nothing of the input. 1 is the float network
    itself, 0 is as good as no network, and one that answers wrongly and surely is below 0.

    Args:
        network: The float network.
        others: The same network at other weights.
        batch: The calibration batch; its targets count for nothing.
        renormed: As for `one_at_a_time`.

    Returns:
        float64 (others,). Where the float network answers the same to every input, 1 for those that
        do so, too, and minus infinity for the rest.
    """
    before, lost = _lost(network, others, batch, renormed=renormed)
    found = lost.clamp(min=0)
    with torch.no_grad():
        most = network.workload.divergence_of_mean(before).double().cpu()
    return torch.where(found == 0, 1.0, 1 - found / most)


def divergences(
    network: FunctionalNetwork,
    others: Iterable[FunctionalNetwork],
    batch: Batch,
    *,
    renormed: bool = False,
) -> Tensor:
    """Say how far the answers of others are from the float network's.

    Args:
        network: As for `shares_explained`.
        others: Likewise.
        batch: Likewise.
        renormed: Likewise.

    Returns:
        Means over samples, float64 (others,).
    """
    _, lost = _lost(network, others, batch, renormed=renormed)
    return lost / len(batch)


def _lost(
    network: FunctionalNetwork,
    others: Iterable[FunctionalNetwork],
    batch: Batch,
    *,
    renormed: bool,
) -> tuple[list[tuple[Any, int]], Tensor]:
    """Give the float network's answers, and how far each of the others' are from them in all."""
    with torch.no_grad(), renewing(network, batch, renormed=renormed) as parts:
        before = _answers(network, parts)
        lost = [_divergence(network, before, _answers(other, parts)) for other in others]
    return before, torch.stack(lost)


def _answers(network: FunctionalNetwork, batch: Batch) -> list[tuple[Any, int]]:
    """Give outputs part by part, with how many samples they are of."""
    weights = network.weights()
    return [
        (in_double(network.outputs(weights, samples)), count(samples))
        for samples, _ in batch.chunks()
    ]


def _divergence(
    network: FunctionalNetwork, before: list[tuple[Any, int]], after: list[tuple[Any, int]]
) -> Tensor:
    found = [
        network.workload.divergence(one, other, samples)
        for (one, samples), (other, _) in zip(before, after, strict=True)
    ]
    return torch.stack([part.double().cpu() for part in found]).sum()
