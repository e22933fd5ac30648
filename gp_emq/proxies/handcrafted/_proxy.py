"""What a hand-crafted proxy is: a name, where it is from, and one or two ways to compute it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.networks import (
    PrivateNetwork,
    Samples,
    Workload,
    batch_size,
    values_per_sample,
    weight_layers,
)
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics

FloatArray = NDArray[np.float64]
Value = TypeVar("Value")

ALIGNED = "aligned"
AS_PUBLISHED = "as-published"
FORMS = (ALIGNED, AS_PUBLISHED)
"""The method as its paper derives it, and as the public ranking scripts compute it."""


@dataclass(frozen=True)
class ProxyInputs:
    """What hand-crafted proxies are computed from.

    Attributes:
        statistics: The network's statistics.
        workload: The network, the calibration samples, and how it is fed and judged.
        quantizer: The protocol's weight quantizer.
        private: The copy of the network to run; None makes one.
        memory: What several proxies share, with the seconds it took; see `once`.
        borrowed: Seconds of what was found in the memory.
    """

    statistics: Statistics
    workload: Workload
    quantizer: WeightQuantizer
    private: PrivateNetwork | None = None
    memory: dict[str, tuple[Any, float]] = field(default_factory=dict, repr=False)
    borrowed: dict[str, float] = field(default_factory=dict, repr=False)

    def with_statistics(self, statistics: Statistics) -> "ProxyInputs":
        """Give the same inputs, with the same memory, on another view of the statistics."""
        return replace(self, statistics=statistics, borrowed={})

    def once(self, name: str, compute: "Callable[[ProxyInputs], Value]") -> "Value":
        """Compute what several proxies need, or remember it.

        Args:
            name: Under which it is remembered.
            compute: Computes it from these inputs.
        """
        if name in self.memory:
            value, self.borrowed[name] = self.memory[name]
        else:
            start = time.perf_counter()
            value = compute(self)
            self.memory[name] = (value, time.perf_counter() - start)
        result: Value = value
        return result

    @cached_property
    def network(self) -> PrivateNetwork:
        """The network to run."""
        return self.private or self.workload.private()

    @property
    def chunk(self) -> int:
        """Images that may go through the network at once: one where they see each other."""
        independent = self.statistics.images_are_independent
        return batch_size((values_per_sample(self.workload.samples),)) if independent else 1

    def outputs(self, samples: Samples, given: Mapping[str, Tensor] | None = None) -> Any:
        """Run the network, inside `undisturbed()`.

        Args:
            samples: (n, ...), or other samples.
            given: Values to use in place of parameters, by name.

        Returns:
            What the network gives.
        """
        return self.network.run(samples, given)

    @cached_property
    def perturbations(self) -> dict[tuple[str, int], Tensor]:
        """Quantized weight minus weight by layer name and width, each shaped as the weight."""
        layers = sorted(self.statistics.layers, key=lambda layer: layer.entry)
        owners = [layer.name for layer in weight_layers(layers)]
        views = self.statistics.layout("WeightsPerBit").views(self.statistics.perturbation())
        by_owner = dict(zip(owners, views, strict=True))
        return {
            (layer.name, width): by_owner[layer.shares or layer.name][place]
            for layer in layers
            for place, width in enumerate(self.statistics.bits)
        }


Measure = Callable[[ProxyInputs], Tensor]
"""Gives an oriented sensitivity table, float64 (entries, bits)."""


@dataclass(frozen=True)
class HandcraftedProxy:
    """A known proxy.

    A form is an expression of the package's own language, or a function where the method
    is no formula over statistics. Both give an oriented table: a higher sum predicts a
    higher accuracy.

    Attributes:
        name: What it is called on the command line.
        family: What it looks at: size, curvature, gradient, activation, weight or evolved.
        description: One line.
        formula: Readable mathematics of the aligned form.
        source: Where it was published.
        aligned: The method as its paper derives it, on trained weights.
        as_published: As public ranking scripts compute it; None where that is the same.
        needs: Names of the statistics that its functions use; those of expressions are known.
        unchanged: Value of its formula where a width changes none of an entry's weights, which
            are all zero or all on the grid; None where the formula needs no such value.
    """

    name: str
    family: str
    description: str
    formula: str
    source: str
    aligned: str | Measure
    as_published: str | Measure | None = None
    needs: tuple[str, ...] = ()
    unchanged: float | None = None

    def form(self, name: str = ALIGNED) -> str | Measure:
        """Choose a form; the aligned one stands in where the published is the same.

        Args:
            name: `"aligned"` or `"as-published"`.
        """
        if name == AS_PUBLISHED and self.as_published is not None:
            return self.as_published
        return self.aligned


def negative_sums(inputs: ProxyInputs, values: dict[tuple[str, int], float]) -> Tensor:
    """Make a table of harms: add them over tied layers and turn the sign.

    Args:
        inputs: Gives layers, entries and widths.
        values: The harm by layer name and width.

    Returns:
        float64 (entries, bits).
    """
    statistics = inputs.statistics
    entries = 1 + max(layer.entry for layer in statistics.layers)
    table = torch.zeros(entries, len(statistics.bits), dtype=torch.float64)
    for layer in statistics.layers:
        for place, width in enumerate(statistics.bits):
            table[layer.entry, place] -= values[layer.name, width]
    return table
