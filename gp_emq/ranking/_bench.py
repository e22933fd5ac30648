"""A bench ready to be ranked on: its network's statistics, and the configurations asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gp_emq.correlation import FloatArray, PairMask, at_equal_cost
from gp_emq.mqbench import Bench, BenchInputs, bench_inputs, configuration_sizes, load_bench
from gp_emq.networks import untrained_network
from gp_emq.proxies import ProxyInputs


@dataclass(frozen=True)
class RankedBench:
    """A bench with what proxies are computed from.

    Attributes:
        bench: The bench.
        inputs: Its network, calibration batch and quantizer.
        cache: Folder that keeps statistics, or None.
    """

    bench: Bench
    inputs: BenchInputs
    cache: Path | None

    @classmethod
    def load(
        cls,
        name: str,
        *,
        weights: Path | None,
        data: Sequence[Path],
        cache: Path | None,
        network: str | None = None,
        workload: str | None = None,
    ) -> "RankedBench":
        """Load a bench by name or path.

        Args:
            name: The bench.
            weights: As for `bench_inputs`, and so are `data`, `network` and `workload`.
            data: The images.
            cache: Folder that keeps statistics, or None.
            network: A network of one's own.
            workload: A workload of one's own.

        Raises:
            GpEmqError: The bench, its network's weights or its images are missing or damaged.
        """
        bench = load_bench(name)
        inputs = bench_inputs(bench, weights, list(data) or None, network, workload)
        return cls(bench, inputs, cache)

    def untrained(self, seed: int = 0) -> "RankedBench":
        """Put seeded random weights in the place of the trained ones.

        Raises:
            NetworkError: The network is not a registered one.
        """
        network = untrained_network(self.bench.network, seed)
        calibration = self.inputs.calibration.of(network.model)
        return replace(self, inputs=replace(self.inputs, network=network, calibration=calibration))

    def proxy_inputs(self, calibration_seed: int | None = None) -> ProxyInputs:
        """Prepare what proxies are computed from; statistics are collected when asked for.

        Args:
            calibration_seed: None for the whole calibration batch; else a random half of it,
                with random probes of that seed too.
        """
        if calibration_seed is None:
            return ProxyInputs(self.inputs.statistics(self.bench.bits, cache=self.cache))
        whole = self.inputs.calibration
        order = np.random.default_rng(calibration_seed).permutation(len(whole))
        half = whole.part(torch.from_numpy(np.sort(order[: max(1, len(whole) // 2)])))
        statistics = self.inputs.statistics(
            self.bench.bits, cache=self.cache, calibration=half, seed=1 + calibration_seed
        )
        return ProxyInputs(statistics)

    def indices(self, split: str) -> NDArray[np.intp]:
        """Indices of the configurations of a split, one of `SPLITS`."""
        if split == "all":
            return np.arange(len(self.bench.configurations))
        chosen: NDArray[np.intp] = getattr(self.bench, split)
        return chosen

    @cached_property
    def bit_sums(self) -> FloatArray:
        """Sum of the entries' widths of each configuration, (n,)."""
        sums: FloatArray = self.bench.configurations.sum(axis=1, dtype=np.float64)
        return sums

    @cached_property
    def sizes(self) -> FloatArray:
        """Size of each configuration's quantized layers in MiB, biases included, (n,)."""
        return configuration_sizes(self.bench, self.inputs.network.layers)

    def pairs_at_equal_size(self, chosen: NDArray[np.intp]) -> PairMask:
        """Pairs of some configurations whose sizes differ by under 2 % of the range of all."""
        return at_equal_cost(self.sizes)[np.ix_(chosen, chosen)]
