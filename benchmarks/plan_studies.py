"""Which plans are compared: networks, sizes, methods, and what the plans are made by."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gp_emq.allocation import (
    Configuration,
    CostSettings,
    Meter,
    Problem,
    make_budgets,
    proxy_baseline,
    search_space,
    uniform_baseline,
)
from gp_emq.errors import GpEmqError
from gp_emq.measured import contenders
from gp_emq.measured._contest import contest
from gp_emq.measured._network import MeasuringSettings, PlanNetwork
from gp_emq.networks import Layer, load_inputs
from gp_emq.proxies import Proxy
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import QuantizationSettings, rounding_of
from gp_emq.quantization.recipes import find_recipe
from gp_emq.statistics import StatisticsSettings, collect_statistics

UNIFORM, EVOLVED, RACED = "uniform", "evolved", "raced"
HELD_BACK = 1024
"""Images to race and to confirm on, as in `gp_emq.allocate`."""
PROXIES = ("hawq_v2", "fit", "ompq", "emq", "loss_change")


@dataclass(frozen=True)
class Study:
    """One network, quantized at several sizes by some methods.

    Attributes:
        network: Name of the network.
        bits: The widths, rising.
        shares: Where the sizes lie, from 0 for all layers at the least width to 1 for all at the
            widest.
        methods: Names of the methods.
        calibration: Images that statistics are collected on and that quantizing takes.
        held_back: Images that plans race on, half of them, and are confirmed on. They measure
            nothing; where there are training images, they are of those.
    """

    network: str
    bits: tuple[int, ...]
    shares: tuple[float, ...]
    methods: tuple[str, ...]
    calibration: int
    held_back: int = HELD_BACK

    @property
    def seen(self) -> int:
        """How many images choose something where plans race."""
        return self.calibration + self.held_back


STUDIES = (
    Study("resnet20", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 512),
    Study("mobilenet_v2", (4, 5, 6, 8), (0.25, 0.5, 0.75), ("rtn", "rtn+bn-correction"), 100, 256),
    Study("digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    # Networks of the search, of which some are broken with all layers at two bits.
    Study("plain-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("mixer-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("unnormed-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("grouped-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    # Networks that choose among what searches find.
    Study("excite-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 256),
    Study("wide-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("excite-cifar10", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 512),
    Study("shuffled-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 256),
    Study("axial-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    # Networks that no search may read, in the end.
    Study("dense-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 256),
    Study("modern-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("transformer-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("inverted-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 256),
    Study("hourglass-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 256),
    Study("pooling-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("token-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("recurrent-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("latent-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 256),
    Study("dilated-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 256),
    Study("multiscale-digits", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 256),
    Study(
        "efficientnet_lite0",
        (4, 5, 6, 8),
        (0.1, 0.3, 0.5, 0.7, 0.9),
        ("rtn", "rtn+bn-correction"),
        64,
        256,
    ),
    Study("dense-cifar10", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn+bn", "adaround"), 512),
    Study("modern-cifar10", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 512),
    Study("transformer-cifar10", (2, 3, 4), (0.1, 0.3, 0.5, 0.7, 0.9), ("rtn", "adaround"), 512),
)


@dataclass(frozen=True)
class Planned:
    """What one way to plan chooses at one size.

    Attributes:
        name: Of the way: a proxy, `UNIFORM` or `RACED`.
        limit: Largest size in MiB.
        widths: Width of each layer by name; empty where there is no plan.
        size: Size in MiB; 0 where there is no plan.
        note: What it says of itself, or why there is no plan.
    """

    name: str
    limit: float
    widths: dict[str, int]
    size: float
    note: str


def present(studies: Sequence[Study]) -> list[Study]:
    """Leave out networks whose weights or images are not here, and say why.

    Args:
        studies: Those that are asked for.

    Raises:
        GpEmqError: None is here.
    """
    found, missing = [], None
    for study in studies:
        try:
            load_inputs(study.network).calibration(1, 0)
        except GpEmqError as error:
            missing = error
            sys.stderr.write(f"{study.network} is left out: {error}\n")
        else:
            found.append(study)
    if missing is not None and not found:
        raise missing
    return found


def make_plans(
    study: Study,
    method: str,
    settings: QuantizationSettings,
    evolved: str | None,
    *,
    seed: int,
    cache: Path | None,
    proxies: Sequence[str] = PROXIES,
) -> list[Planned]:
    """Plan a study's network at all sizes in all ways; equal budgets, exact optima.

    Args:
        study: The study.
        method: What will quantize.
        settings: How.
        evolved: A run or an expression that is compared, too.
        seed: Of the draw of images.
        cache: Folder for statistics and tables.
        proxies: Names of the hand-crafted proxies.
    """
    sources = {name: name for name in proxies} | ({EVOLVED: evolved} if evolved else {})
    loaded = {name: load_proxy(source) for name, source in sources.items()}
    return _plans_by(study, method, settings, loaded, seed=seed, cache=cache)


def _plans_by(
    study: Study,
    method: str,
    quantization: QuantizationSettings,
    proxies: Mapping[str, Proxy],
    *,
    seed: int,
    cache: Path | None,
) -> list[Planned]:
    """Plan at all sizes with one width, and by each of some proxies."""
    inputs, recipe = load_inputs(study.network), find_recipe(method)
    layers, calibration = inputs.network.layers, inputs.calibration(study.calibration, seed)
    statistics = collect_statistics(
        calibration,
        bits=study.bits,
        quantizer=quantization.weights,
        layers=layers,
        settings=StatisticsSettings(renormed=recipe.renews_norms),
        rounding=rounding_of(recipe, calibration, layers, quantization, cache=cache),
        cache=cache,
    )
    tables = {name: proxy.table(statistics, cache=cache) for name, proxy in proxies.items()}
    space, settings = search_space(layers, study.bits), CostSettings()
    meter = Meter(space, settings)
    found = []
    for limit in sizes(study, meter, len(space.widths)):
        budgets = make_budgets(space, settings, size_mib=limit)
        flat = Problem.without_scores(space, budgets)
        chosen = [uniform_baseline(flat, meter)]
        chosen += [proxy_baseline(name, table, flat, meter) for name, table in tables.items()]
        for plan in chosen:
            widths = {layer.name: bits for layer, bits in zip(layers, plan.bits, strict=False)}
            size = 0.0 if plan.measures is None else plan.measures.size_mib
            found.append(Planned(plan.name, limit, widths, size, plan.note))
    return found


def raced_plans(
    study: Study,
    method: str,
    settings: QuantizationSettings,
    *,
    proxies: Sequence[str],
    seed: int,
    cache: Path | None,
) -> list[Planned]:
    """Let the plans of several proxies race at each size, quantized as they will be.

    One width everywhere races with them, as in `gp_emq.allocate`.

    Args:
        study: The study.
        method: What quantizes.
        settings: How.
        proxies: Names of the proxies, none for those that race in `gp_emq.allocate`; of those that
            plan the same, the first is the winner.
        seed: Of the draw of images.
        cache: Folder for what is measured.

    Returns:
        The winner's plan at each size, whose note says whose it is.
    """
    inputs = load_inputs(study.network)
    layers = inputs.network.layers
    network = PlanNetwork(
        inputs.calibration(study.calibration, seed),
        inputs.held_back(study.calibration, study.held_back, seed),
        search_space(layers, study.bits),
        MeasuringSettings(method, quantization=settings),
        cache=cache,
    )
    racers = {name: load_proxy(name) for name in proxies} or contenders()
    plans = _plans_by(study, method, settings, racers, seed=seed, cache=cache)
    found = []
    for limit in sorted({plan.limit for plan in plans}):
        own = {plan.name: plan for plan in plans if plan.limit == limit and plan.widths}
        racing = {name: _by_entry(own[name], layers) for name in racers if name in own}
        if racing and UNIFORM in own:
            racing[UNIFORM] = _by_entry(own[UNIFORM], layers)
        if not racing:
            found.append(Planned(RACED, limit, {}, 0.0, "no proxy has a plan"))
            continue
        winner = contest(racing, network).winner
        found.append(replace(own[winner], name=RACED, note=winner))
    return found


def _by_entry(plan: Planned, layers: Sequence[Layer]) -> Configuration:
    widths = {layer.entry: plan.widths[layer.name] for layer in layers}
    return tuple(widths[entry] for entry in sorted(widths))


def sizes(study: Study, meter: Meter, entries: int) -> Sequence[float]:
    """Return the sizes of a study in MiB, rising."""
    least, most = (
        meter.measure((width,) * entries).size_mib for width in (study.bits[0], study.bits[-1])
    )
    return [least + share * (most - least) for share in study.shares]
