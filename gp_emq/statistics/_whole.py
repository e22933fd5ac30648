"""What whole configurations do to the network's answers: measured, one pass for each."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gp_emq.networks import count, in_double, undisturbed
from gp_emq.quantization import batch_norms
from gp_emq.statistics._context import Context
from gp_emq.statistics._renormed import by_their_own_statistics, renewable


def divergences(
    context: Context, configurations: NDArray[np.integer] | Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Quantize the network by each configuration, and say how far its outputs are from before.

    Weights and batch norms are as the recipe leaves them, as in `recipe_divergence`.

    Args:
        context: Of the statistics.
        configurations: One of the statistics' widths per entry, (n, entries).

    Returns:
        Mean divergence over the calibration images, (n,).
    """
    network, bits = context.network, context.header.bits
    places = np.searchsorted(bits, np.asarray(configurations))
    with undisturbed(), torch.no_grad():
        moved = context.recipe_perturbations()
        norms = batch_norms(network.network.model) if context.has_norms_to_renew else []
        batch = renewable(context.batch) if norms else context.batch
        found = np.zeros(len(places))
        with by_their_own_statistics(norms):
            plain = network.weights()
            for samples, _ in batch.chunks():
                before = in_double(network.outputs(plain, samples))
                for row, place in enumerate(places):
                    weights = [
                        weight + change[place[layer.entry]].to(weight.device)
                        for weight, change, layer in zip(
                            plain, moved, network.weight_layers, strict=True
                        )
                    ]
                    after = in_double(network.outputs(weights, samples))
                    found[row] += float(network.workload.divergence(before, after, count(samples)))
    return found / len(batch)
