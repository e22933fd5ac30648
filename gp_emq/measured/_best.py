"""From a network and budgets to the best plan that is found, in one call."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from numpy.typing import ArrayLike
from torch import nn

from gp_emq import allocation
from gp_emq.allocation import (
    BITS,
    CALIBRATION_IMAGES,
    CostSettings,
    CostTable,
    Meter,
    Problem,
    Space,
)
from gp_emq.errors import AllocationError
from gp_emq.export import bytes_beside
from gp_emq.measured._affordable import affordable
from gp_emq.measured._contenders import contenders
from gp_emq.measured._options import MeasureOptions
from gp_emq.measured._planning import MeasuredPlan, measured_plan, plan_network
from gp_emq.measured._winner import winner_of
from gp_emq.networks import Images, Labels, Layer, Workload, load_inputs, workload_of
from gp_emq.proxies import Proxy
from gp_emq.proxies._table import check_bits
from gp_emq.proxies.loading import load_proxy
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, StatisticsSettings, collect_statistics


def best_plan(
    model: nn.Module | Workload,
    images: Images | None = None,
    labels: Labels | None = None,
    *,
    bits: Sequence[int] = BITS,
    size_mib: float | None = None,
    size_mb: float | None = None,
    size_bytes: float | None = None,
    average_bits: float | None = None,
    bops_g: float | None = None,
    costs: Sequence[CostTable] = (),
    fix: Mapping[str, int] | None = None,
    exclude: Sequence[str] = (),
    choices: Mapping[str, Sequence[int]] | None = None,
    groups: Sequence[Sequence[str]] = (),
    settings: CostSettings | None = None,
    proxies: Sequence[str] = (),
    measuring: MeasureOptions | None = None,
    calibration: int = CALIBRATION_IMAGES,
    seed: int = 0,
    cache: Path | None = None,
) -> MeasuredPlan:
    """Plan a network by the proxy whose plan loses least on it, and measure what it loses.

    What ``python -m gp_emq.allocate`` does where no proxy is named. No proxy plans best for every
    network, and which does nothing but the network tells: the plans of several, and one width
    everywhere, are quantized, and race on samples that none of them was made by, without labels.
    Half of those samples choose, and the other half says what the plan loses.

    Args:
        model: The network, or a `Workload`, which brings its samples along.
        images: As `Workload` takes them, a few hundred or more. At most half of them calibrate, and
            plans are measured on the others.
        labels: If there are any; without, the network's own answers stand for them.
        bits: The widths that may be chosen, rising.
        size_mib: As `gp_emq.allocate` takes it; so are all budgets, and what layers may choose.
        size_mb: Likewise.
        size_bytes: Likewise; what belongs to no layer is counted.
        average_bits: Likewise.
        bops_g: Likewise.
        costs: Likewise.
        fix: Likewise.
        exclude: Likewise.
        choices: Likewise.
        groups: Likewise.
        settings: How sizes and bit operations are counted, and what of a weight shares a scale.
        proxies: Names and expressions of those that race; none for the default ones, without those
            that would take longer than minutes on this network.
        measuring: How plans are measured, and whether a better one than the winner's is looked for,
            as by `MeasureOptions(measure=100)`.
        calibration: Most samples that calibrate.
        seed: Of all draws.
        cache: Folder that keeps statistics and measurements; None keeps nothing.

    Returns:
        The plan, its certificate, and both as a text.

    Raises:
        AllocationError: There is no budget, none can be met, or no plan works.
        GpEmqError: Samples are too few or do not fit, a proxy is unknown, or the network cannot be
            copied or run.

    Examples:
        >>> import gp_emq
        >>> from torch import manual_seed, nn, randn
        >>> _ = manual_seed(0)
        >>> network = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 10))
        >>> found = gp_emq.best_plan(network, randn(256, 20), average_bits=3)
        >>> found.plan.measures.average_bits <= 3
        True
        >>> found.certificate.verdict
        'ACCEPT'
    """
    _check_kinds(measuring, proxies, calibration)
    settings, measuring = settings or CostSettings(), measuring or MeasureOptions()
    cache = None if cache is None else Path(cache)
    bits = check_bits(bits)
    inputs = load_inputs(None, workload=workload_of(model, images, labels))
    own = inputs.own
    assert own is not None  # noqa: S101 - it is what was given
    count = max(1, min(calibration, len(own) // 2))
    inputs = inputs.calibrated(count, seed)
    layers = inputs.network.layers
    if size_bytes is not None:
        settings = replace(settings, beside_bytes=bytes_beside(inputs.network.model, layers))
    widths = tuple(sorted({*bits}.union(*(choices or {}).values())))
    space = allocation.search_space(
        allocation.grouped_layers(layers, groups),
        widths,
        fix=fix,
        exclude=exclude,
        choices={"*": tuple(bits), **(choices or {})},
    )
    budgets = allocation.make_budgets(
        space,
        settings,
        size_mib=size_mib,
        size_mb=size_mb,
        size_bytes=size_bytes,
        average_bits=average_bits,
        bops_g=bops_g,
        costs=tuple(costs),
    )
    if not budgets:
        raise AllocationError(
            "no budget: give at least one of size, average bits, bit operations or costs"
        )
    racing = _racing(proxies, layers, len(widths), count)
    network = plan_network(space, inputs, measuring, settings, images=count, seed=seed, cache=cache)
    samples = inputs.calibration(count, seed)
    statistics = collect_statistics(
        samples,
        bits=widths,
        quantizer=WeightQuantizer.of(settings.granularity),
        layers=layers,
        settings=StatisticsSettings(renormed=network.renormed),
        rounding=network.rounding,
        cache=cache,
    )
    tables = {
        name: partial(_table, proxy, statistics, space, cache) for name, proxy in racing.items()
    }
    winner = winner_of(tables, space, budgets, network)
    problem = Problem.of(tables[winner.proxy](), space, budgets)
    plan = allocation.solve(problem, settings)
    method = measuring.measure_method
    plan = replace(
        plan,
        baselines=(allocation.uniform_baseline(problem, Meter(space, settings)),),
        kept_in_float=allocation.kept_in_float(samples, layers),
        provenance={
            **plan.provenance,
            "network": inputs.network.name,
            "raced": winner.said,
            **({} if method is None else {allocation.METHOD: method}),
        },
    )
    plan = winner.taken(plan, problem, settings)
    made = measured_plan(problem, plan, network, measuring, settings, images=count, seed=seed)
    return replace(made, text=f"{made.text}note: {own.remark}\n") if own.remark else made


def _check_kinds(measuring: object, proxies: object, calibration: object) -> None:
    """Refuse arguments of the wrong kind."""
    if measuring is not None and not isinstance(measuring, MeasureOptions):
        raise AllocationError(
            f"measuring is {type(measuring).__name__}: give gp_emq.measured.MeasureOptions(...)"
        )
    if isinstance(proxies, str):
        raise AllocationError(f"proxies is {proxies!r}: give a list of them, as [{proxies!r}]")
    if isinstance(calibration, bool) or not isinstance(calibration, int) or calibration < 1:
        raise AllocationError(f"calibration must be a whole number from 1 on, not {calibration!r}")


def _racing(
    proxies: Sequence[str], layers: Sequence[Layer], widths: int, samples: int
) -> dict[str, Proxy]:
    """Load the proxies that race, or choose those that do by default."""
    if proxies:
        return {name: load_proxy(name) for name in proxies}
    known = contenders()
    return {name: known[name] for name in affordable(known, layers, widths=widths, samples=samples)}


def _table(proxy: Proxy, statistics: Statistics, space: Space, cache: Path | None) -> ArrayLike:
    table = proxy.table(statistics, cache=cache)
    return allocation.grouped_table(table, statistics.layers, space.layers, space.bits)
