"""What one entry's width does to the network's answers, all other entries as they are: measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from gp_emq.networks import Samples, count, in_double
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._renormed import renewing
from gp_emq.statistics._replay import Replay

LOSS, DIVERGENCE, METRIC = range(3)
"""The places of what `one_at_a_time` gives."""


@dataclass(frozen=True)
class _Judge:
    """Compares outputs with those of the float network, on some samples.

    Args:
        network: The float network, for its workload.
        before: Its outputs.
        targets: The samples' targets.
    """

    network: FunctionalNetwork
    before: Any
    targets: Samples

    def harm(self, outputs: Any) -> Tensor:
        """Give loss, divergence and how bad the metric is, summed over samples, float64 (3,)."""
        workload, samples = self.network.workload, count(self.targets)
        values = workload.values(outputs, self.targets).double()
        values = values.sum() if workload.metric.per_sample else values * samples
        found = [
            workload.loss_beside(self.before, outputs, self.targets),
            workload.divergence(self.before, outputs, samples),
            -values if workload.metric.higher_is_better else values,
        ]
        return torch.stack([one.double().cpu() for one in found])


def one_at_a_time(
    network: FunctionalNetwork,
    around: FunctionalNetwork,
    batch: Batch,
    perturbations: Sequence[Tensor],
    *,
    renormed: bool = False,
) -> Tensor:
    """Give one entry after another each width, and run the calibration batch through.

    Args:
        network: The float network.
        around: The same network at the weights that all other entries have.
        batch: The calibration batch.
        perturbations: For each layer with a weight of its own, quantized weight minus weight,
            (bits, ...).
        renormed: Whether batch norms take the statistics of the images that go through, those of
            the float network too, as re-estimating them gives; else they have their own.

    Returns:
        float64 (3, entries, bits): by how much the loss, the divergence from the float network's
        outputs, and how bad the metric is, are higher than at `around`; means over samples.
    """
    entries = [layer.entry for layer in network.weight_layers]
    widths = len(perturbations[0])
    table = torch.zeros(1 + max(entries), widths, 3, dtype=torch.float64)
    replay = Replay(network.modules)
    modules = [
        [
            module
            for module, layer in zip(network.modules, network.layers, strict=True)
            if layer.entry == entry
        ]
        for entry in range(len(table))
    ]
    renewed = renewing(network, batch, renormed=renormed)
    with torch.no_grad(), renewed as parts, replay.watching():
        plain, others = network.weights(), around.weights()
        for samples, answers in parts.chunks():
            targets = _pytree.tree_map_only(Tensor, lambda x: x.to(network.device), answers)
            before = in_double(network.outputs(plain, samples))
            judge = _Judge(network, before, targets)
            with replay.recording():
                outputs = around.outputs(others, samples)
            base = judge.harm(in_double(outputs))
            for entry in range(len(table)):
                for width in range(widths):
                    weights = [
                        weight + moved[width].to(network.device) if of == entry else other
                        for of, weight, other, moved in zip(
                            entries, plain, others, perturbations, strict=True
                        )
                    ]
                    with replay.changed(modules[entry]):
                        outputs = network.outputs(weights, samples)
                    table[entry, width] += judge.harm(in_double(outputs)) - base
    return (table / len(batch)).permute(2, 0, 1).contiguous()
