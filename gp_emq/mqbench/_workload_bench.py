"""A bench of one's own workload: its metric under one bit configuration after another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._build import drawn_bench
from gp_emq.mqbench._measure import MeasurementSettings, Measurer
from gp_emq.mqbench._protocol import find_protocol
from gp_emq.mqbench._sampling import random_selection
from gp_emq.networks import Division, Workload, entry_layers
from gp_emq.quantization import ActivationQuantizer, WeightQuantizer


def workload_bench(
    workload: Workload,
    calibration: Workload,
    *,
    name: str,
    bits: Sequence[int],
    count: int,
    weights: WeightQuantizer | None = None,
    activations: ActivationQuantizer | None = None,
    batch: int = 64,
    seed: int = 0,
) -> Bench:
    """Measure random bit configurations of a workload, weights rounded to nearest.

    `build_bench` measures by other recipes too, with workers, and writes a file.

    Args:
        workload: The network with the samples to measure on, and their targets.
        calibration: The same network with the samples that choose the grids of inputs.
        name: Of the bench.
        bits: The bit choices, ascending.
        count: How many configurations.
        weights: How weights are quantized; by default as benches do.
        activations: How the input of every layer is, likewise.
        batch: Samples per pass.
        seed: Of configurations and split.

    Returns:
        The bench, which names its metric and the metric's direction, and holds the metric per
        sample where it is a mean over samples.

    Raises:
        BenchError: The metric is not finite under a configuration, or there are too few of them.
        DataError: The samples have no targets.
        NetworkError: The network fails, or has no layers.
    """
    protocol = replace(
        find_protocol("rtn"),
        weights=weights or WeightQuantizer(),
        activations=activations or ActivationQuantizer(),
        calibration_images=len(calibration),
    )
    settings = MeasurementSettings(
        network=type(workload.model).__name__, weights=None, data=(), protocol=protocol,
        bits=tuple(bits), tests=None, seed=seed, arithmetic="float", workload=calibration,
    )  # fmt: skip
    measurer = Measurer(settings, Division(calibration, workload, len(workload), labelled=True))
    measurer.batch = batch
    entries = entry_layers(measurer.network.layers)
    selection = random_selection(count, len(entries), bits, (seed, 0))
    found = np.stack([measurer.measure(row) for row in selection.configurations])
    return drawn_bench(measurer, selection, found, name=name)
