"""The plans of many proxies at many budgets, for a network under a bench's quantizer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation import Budget, Problem, search_space
from gp_emq.errors import BenchError, GpEmqError
from gp_emq.networks import Layer, Workload, size_table
from gp_emq.outputs import has_no_room
from gp_emq.proxies import Proxy
from gp_emq.proxies.loading import load_proxy
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import collect_statistics
from gp_emq.zoo_benches._swaps import Sizes, Widths

FloatArray = NDArray[np.float64]

SHARES = tuple(round(0.1 * place, 1) for place in range(1, 10))
"""Budgets of the plans, and middles of the bands: 0 for the least size, 1 for the greatest."""

PROXIES = (
    "relative_output_error", "hessian_diagonal", "fit_trace", "hawq_v2", "fit_diagonal",
    "output_error", "loss_change", "output_divergence", "gradient_perturbation", "relative_error",
    "mse", "snip", "ompq", "qe", "synflow", "emq", "sum_of_bits",
)  # fmt: skip
"""Those whose plans a bench has: of each family some; first those that rank near plans best."""

IMAGES = 128
"""Of the calibration batch, for the proxies' statistics."""
_NODES = 300


def proxy_tables(
    proxies: Sequence[Proxy],
    layers: Sequence[Layer],
    calibration: Workload,
    *,
    bits: Sequence[int],
    quantizer: WeightQuantizer,
    cache: Path | None,
) -> dict[str, FloatArray]:
    """Compute tables of proxies; those that this network has none of are left out.

    Args:
        proxies: The proxies.
        layers: Of the network.
        calibration: The network with its calibration batch, of which the first `IMAGES` count.
        bits: The bit choices.
        quantizer: Of the weights.
        cache: Folder that keeps statistics and tables, or None.

    Returns:
        By name of the proxy, float64 (entries, bits), oriented and finite.
    """
    statistics = collect_statistics(
        calibration.part(slice(0, IMAGES)),
        bits=bits,
        quantizer=quantizer,
        layers=layers,
        cache=cache,
    )
    tables: dict[str, FloatArray] = {}
    for proxy in proxies:
        try:
            table = np.asarray(proxy.table(statistics, cache=cache))
        except GpEmqError as error:
            if has_no_room(error):
                raise
            continue  # some proxies are of networks of other kinds
        if np.isfinite(table).all():
            tables[proxy.name] = table
    return tables


def known_proxies() -> list[Proxy]:
    """Return the proxies whose plans a bench has."""
    return [load_proxy(name) for name in PROXIES]


def make_plans(
    tables: Mapping[str, FloatArray], layers: Sequence[Layer], bits: Sequence[int]
) -> dict[tuple[float, Widths], tuple[str, ...]]:
    """Plan at all budgets by all tables, exactly.

    Args:
        tables: By name of the proxy, (entries, bits).
        layers: In forward order.
        bits: The bit choices.

    Returns:
        For each budget of `SHARES` the plans, with the names of those that made them; in the
        order of budgets and tables.

    Raises:
        BenchError: No table plans anything.
    """
    space, costs = search_space(layers, bits), size_table(layers, bits)
    by_width = {
        (entry, width): float(costs[entry, place])
        for entry in range(len(costs))
        for place, width in enumerate(bits)
    }
    least, most = costs[:, 0].sum(), costs[:, -1].sum()
    plans: dict[tuple[float, Widths], tuple[str, ...]] = {}
    for share in SHARES:
        budget = Budget("size", "bytes", float(least + share * (most - least)), by_width)
        for name, table in tables.items():
            try:
                choice = Problem.of(table, space, [budget]).best(_NODES)
            except GpEmqError:
                continue  # a table without any order has no plan
            if choice is not None:
                widths = tuple(list(bits).index(width) for width in choice.configuration)
                plans[share, widths] = (*plans.get((share, widths), ()), name)
    if not plans:
        raise BenchError("no proxy plans anything: choose configurations at random")
    return plans


def sizes_of(layers: Sequence[Layer], bits: Sequence[int]) -> Sizes:
    """Return the sizes of a network's configurations."""
    return Sizes.of(size_table(layers, bits))
