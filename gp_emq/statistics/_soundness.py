"""How much quantized networks still say of what the float network answers."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gp_emq.networks import count, in_double
from gp_emq.quantization import batch_norms
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._renormed import by_their_own_statistics, renewable


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
    norms = batch_norms(network.network.model) if renormed else []
    batch = renewable(batch) if norms else batch
    with torch.no_grad(), by_their_own_statistics(norms):
        before = _answers(network, batch)
        most = network.workload.divergence_of_mean(before).double().cpu()
        lost = [_divergence(network, before, _answers(other, batch)) for other in others]
    found = torch.stack(lost).clamp(min=0)
    return torch.where(found == 0, 1.0, 1 - found / most)


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
