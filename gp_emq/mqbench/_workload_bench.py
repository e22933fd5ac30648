"""A bench of one's own workload: its metric under one bit configuration after another."""

from collections.abc import Sequence

import numpy as np

from gp_emq.errors import BenchError
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._sampling import sample_configurations, split_configurations
from gp_emq.networks import TOP_1, Workload, entry_layers, layers_of
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedNetwork,
    WeightQuantizer,
    calibrate_activations,
    quantize_weights,
)


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
    layers = layers_of(calibration.private(), calibration.samples)
    entries = entry_layers(layers)
    configurations = sample_configurations(count, len(entries), bits, (seed, 0))
    weights, activations = weights or WeightQuantizer(), activations or ActivationQuantizer()
    network = calibration.private()
    quantized = QuantizedNetwork(
        network.model,
        layers,
        quantize_weights(network.model, layers, bits, weights),
        calibrate_activations(network, layers, calibration.samples, activations),
    )
    found = []
    for configuration in configurations:
        quantized.configure(configuration.tolist())
        found.append(workload.of(quantized.model).measured(batch).numpy())
    values, metric = np.stack(found), workload.metric
    if not np.isfinite(values).all():
        raise BenchError(f"bench {name}: {metric.name} is not finite under a configuration")
    kept = metric.per_sample and metric is not TOP_1
    return Bench(
        name=name,
        network=type(workload.model).__name__,
        layers=tuple(layer.name for layer in layers),
        entries=entries,
        bits=tuple(bits),
        protocol="rtn",
        configurations=configurations,
        accuracies=values.reshape(count, -1).mean(axis=1, dtype=np.float64),
        correct=np.packbits(values.astype(bool), axis=1) if metric is TOP_1 else None,
        images=len(workload),
        split=split_configurations(count, (seed, 1)),
        groups=len(workload),
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        values=values.astype(np.float32) if kept else None,
    )
