"""Showing a bench: what it holds and can tell, and the sizes of its configurations."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gp_emq.mqbench._bench import Bench, check_layers
from gp_emq.mqbench._origin import origin_of, refuse_unnamed
from gp_emq.mqbench._quality import Quality, bench_quality
from gp_emq.mqbench._selection import KINDS
from gp_emq.networks import (
    MEBIBYTE,
    TOP_1,
    load_inputs,
    registered_layers,
    size_table,
    total_cost,
)


def describe_bench(bench: Bench) -> str:
    """Return what a bench holds and what it can tell, as lines of text."""
    quality = bench_quality(bench)
    counts = (len(bench.training), len(bench.validation), len(bench.test))
    tell = _teller(bench)
    lowest, highest = float(bench.accuracies.min()), float(bench.accuracies.max())
    rows = [
        ("network", f"{bench.network}, {len(bench.layers)} layers, {len(bench.entries)} entries"),
        ("protocol", _protocol_line(bench)),
        ("bit choices", ", ".join(map(str, bench.bits))),
        (
            "configurations",
            f"{sum(counts)}: {counts[0]} training, {counts[1]} validation, {counts[2]} test",
        ),
        *_chosen_row(bench),
        ("test images" if bench.metric == TOP_1.name else "test samples", _images_line(bench)),
        *_float_row(bench, tell),
        (
            "accuracy" if bench.metric == TOP_1.name else bench.metric,
            f"mean {tell(quality.mean)}, {tell(lowest)} to {tell(highest)}{_direction(bench)}",
        ),
        ("spread", _told(quality, "spread", f"{tell(quality.spread)} (standard deviation)")),
        ("sampling error", _told(quality, "sampling_error", _error_line(quality, tell))),
        ("reliability", _reliability_line(quality)),
        (
            "noise ceiling",
            _told(
                quality,
                "noise_ceiling",
                f"tau {quality.noise_ceiling:.3f}" + _binomial_note(quality),
            ),
        ),
        (
            "additive ceiling",
            _told(
                quality,
                "additive_ceiling",
                f"tau {quality.additive_ceiling:.3f} on the test configurations",
            ),
        ),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(
        [f"bench {bench.name}", *(f"  {name:<{width}}  {text}" for name, text in rows)]
    )


def model_sizes(
    bench: Bench, network: str | None = None, workload: str | None = None
) -> NDArray[np.float64]:
    """Return the size of every configuration in MiB, by the `published` accounting, (n,).

    Args:
        bench: the bench.
        network: as `load_network` takes it; by default the bench's, which must be registered.
        workload: instead of a network, `package.module:function` that returns the workload.

    Raises:
        BenchError: if the bench names a network that is not registered, or has other layers.
        NetworkError: if the network is unknown.
    """
    if network is None and workload is None:
        refuse_unnamed(bench)
    name = network or workload or bench.network
    if ":" in name:
        layers = load_inputs(network, workload=workload).network.layers
    else:
        layers = registered_layers(name)
    check_layers(bench, layers, name)
    table = size_table(layers, bench.bits)
    return total_cost(table, bench.bits, bench.configurations) / MEBIBYTE


def _teller(bench: Bench) -> Callable[[float], str]:
    """Return how numbers of a bench's metric are written."""
    return _percent if bench.metric == TOP_1.name else "{:.4g}".format


def _direction(bench: Bench) -> str:
    return "" if bench.higher_is_better else "; lower is better"


def _protocol_line(bench: Bench) -> str:
    made = origin_of(bench)
    if made is None:
        return f"{bench.protocol}: how it was measured is not known"
    weights, settings = made.protocol.weights, made.protocol
    parts = [
        bench.protocol,
        "symmetric" if weights.symmetric else "asymmetric",
        f"scales per {weights.granularity}"
        if weights.group
        else "per channel"
        if weights.per_channel
        else "per tensor",
        f"{weights.scale_rule} scales",
        f"{settings.activations.bits}-bit activations",
        f"{settings.calibration_images} calibration images",
        f"{made.arithmetic} arithmetic",
    ]
    if settings.iterations:
        parts.insert(4, f"{settings.iterations} iterations of learned rounding")
    return ", ".join(parts)


def _chosen_row(bench: Bench) -> list[tuple[str, str]]:
    counts = Counter(one.kind for one in bench.chosen)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    return [("chosen as", told)] if told else []


def _images_line(bench: Bench) -> str:
    if bench.provenance.get("labelled") is False:
        return f"{bench.images} without labels: the float network's answers count as right"
    if bench.groups == bench.images:
        return f"{bench.images}"
    return f"{bench.images}: {bench.images // bench.groups} distortions of {bench.groups}"


def _float_row(bench: Bench, tell: Callable[[float], str]) -> list[tuple[str, str]]:
    value = bench.provenance.get("float_accuracy")
    return [("float network", tell(value))] if isinstance(value, float) else []


def _error_line(quality: Quality, tell: Callable[[float], str]) -> str:
    text = tell(quality.sampling_error)
    if quality.spread > 0 and quality.sampling_error > 0:
        text += f", {quality.spread / quality.sampling_error:.1f} times smaller than the spread"
    return text + _binomial_note(quality)


def _told(quality: Quality, name: str, text: str) -> str:
    """Give a number's line, or why there is none."""
    reason = quality.undefined.get(name)
    return text if reason is None else f"–: {reason}"


def _reliability_line(quality: Quality) -> str:
    if quality.reliability is None:
        text = "not known: the bench does not say which images were right"
        return _told(quality, "reliability", text)
    text = f"tau {quality.reliability:.3f} between halves of the test images"
    return _told(quality, "reliability", text)


def _binomial_note(quality: Quality) -> str:
    return " (binomial model: no correctness by image)" if quality.binomial else ""


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
