"""What proxies that are no formulas are computed from."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.networks import (
    PrivateNetwork,
    Samples,
    Workload,
    batch_size,
    values_per_sample,
    weight_layers,
)
from gp_emq.statistics import Origin, Statistics

Value = TypeVar("Value")


@dataclass(frozen=True)
class ProxyInputs:
    """Statistics, and what several proxies of one network share.

    Attributes:
        statistics: The network's statistics.
        asked_by: Whom errors name.
        memory: What several proxies share, with the seconds it took; see `once`.
        borrowed: Seconds of what was found in the memory.
    """

    statistics: Statistics
    asked_by: str = "the proxy"
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

    @property
    def origin(self) -> Origin:
        """What the statistics are collected from.

        Raises:
            StatisticsError: They were read from disk, or cut out.
        """
        if self.statistics.origin is None:
            raise StatisticsError(
                f"{self.asked_by} needs the network beside its statistics: use those that "
                "collect_statistics gives"
            )
        return self.statistics.origin

    @property
    def network(self) -> PrivateNetwork:
        """The network to run."""
        return self.origin.network

    @property
    def workload(self) -> Workload:
        """The network, the calibration samples, and how it is fed and judged."""
        return self.origin.workload

    @property
    def chunk(self) -> int:
        """Images that may go through the network at once: one where they see or share anything."""
        statistics = self.statistics
        independent = statistics.images_are_independent and statistics.images_add_up
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
