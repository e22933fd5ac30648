"""What a run found: its front, its best formula, and the test configurations, read once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import among, bootstrap_interval, tau_on, why_unrankable
from gp_emq.evolution import FloatArray, Individual, Measurement, Search, centred
from gp_emq.experiment._choosing import Choice, constants_of
from gp_emq.experiment._front import front_of, recommended
from gp_emq.experiment._setting import Setting, joint_sha256
from gp_emq.experiment._validation import Judged
from gp_emq.objectives import bench_sha256
from gp_emq.proxies import Evaluator, configuration_scores, language, parse_expression, to_formula
from gp_emq.statistics import Statistics
from gp_emq.store import HallOfFame, Member, Provenance

SIZE_BASELINES = {
    "sum of bits": "bits",
    "BParams": "multiply(parameter_count, bits)",
}
"""Hand-crafted proxies that every run is compared with; higher sums predict higher accuracy."""


@dataclass(frozen=True)
class SummaryRow:
    """One proxy on all three splits.

    Args:
        name: What it is.
        size: Nodes of its tree.
        training: Kendall tau on the training configurations.
        validation: On the validation configurations; None where they cannot be ranked.
        test: On the test configurations, likewise.
        low: Lower end of the bootstrap 95 % interval of the test tau, likewise.
        high: Upper end.
    """

    name: str
    size: int
    training: float
    validation: float | None
    test: float | None
    low: float | None
    high: float | None


def hall_of_fame(
    search: Search, setting: Setting, statistics_sha256: str, best: Individual
) -> HallOfFame:
    """Make the hall of fame of a search, of which one formula is recommended.

    One with fitted constants is none of the front, and joins it.
    """
    front = front_of(search)
    if not any(individual is best for individual in front):
        front.append(best)
    provenance = Provenance(
        bench=" + ".join(setting.objective.networks),
        bench_sha256=joint_sha256([bench_sha256(bench) for bench in setting.benches]),
        statistics_sha256=statistics_sha256,
        primitive_set=setting.primitive_set.name,
        seed=setting.configuration.seed,
        generations=search.generation,
        evaluations=search.evaluations,
    )
    members = tuple(
        Member(
            id=individual.identifier,
            generation=individual.row.generation,
            expression=individual.expression,
            canonical=individual.row.canonical,
            formula=to_formula(individual, setting.primitive_set),
            size=len(individual),
            depth=individual.height,
            training_tau=individual.tau,
            validation_tau=individual.measurement.validation,
            sign=individual.measurement.sign,
            best=individual is best,
        )
        for individual in front
    )
    return HallOfFame(provenance, members)


def summarise(
    search: Search,
    random_search: Search | None,
    setting: Setting,
    networks: Sequence[Statistics],
    choice: Choice,
) -> dict[str, Any]:
    """Measure the recommended formula, the random search's and the size baselines on the test.

    Args:
        search: The search.
        random_search: Of equal evaluations, or None.
        setting: What they are about.
        networks: The statistics of each bench's network.
        choice: What is recommended.

    Returns:
        The summary that the store keeps and the report shows.
    """
    front, best, judged = front_of(search), choice.best, choice.judged
    rows = _rows(f"evolved ({setting.configuration.selection})", best, setting)
    if random_search is not None:
        name = f"random search, {random_search.evaluations} evaluations"
        rows += _rows(name, recommended(front_of(random_search)), setting)
    for name, expression in SIZE_BASELINES.items():
        tree = parse_expression(expression, language())
        tables = tuple(Evaluator(language(), one).table(tree).numpy() for one in networks)
        if setting.benches:
            rows += [
                _row(name, table, len(tree), setting, place) for place, table in enumerate(tables)
            ]
        else:
            (measurement,) = setting.objective.measure([tables])
            rows += _untested(name, len(tree), measurement, setting)
    undefined = {
        name: "; ".join(reasons)
        for name in ("validation", "test")
        if (reasons := _why_undefined(setting, name))
    }
    if not setting.benches:
        undefined["test"] = "an objective of one's own has no test configurations"
    return {
        **({"undefined": undefined} if undefined else {}),
        **(
            {} if judged is None else {"validation_networks": _on_networks(choice, judged, setting)}
        ),
        **constants_of(choice),
        "best": best.identifier,
        "front": [individual.identifier for individual in front],
        "rows": [asdict(row) for row in rows],
        "protocol": " + ".join(str(bench.protocol) for bench in setting.benches),
        "evaluations": search.evaluations,
        "test_configurations": sum(len(bench.test) for bench in setting.benches),
    }


def _on_networks(choice: Choice, judged: Judged, setting: Setting) -> dict[str, Any]:
    """Say how the recommended formula and hand-made proxies rank on the validation networks."""
    benches = setting.configuration.validate_on
    taus = dict(zip(benches, judged.taus or (), strict=True))
    return {
        "mean": judged.mean,
        "standard_error": judged.standard_error,
        "taus": taus,
        "rivals": dict(choice.rivals),
    }


def _why_undefined(setting: Setting, split: str) -> list[str]:
    """Say of which benches the configurations of a split cannot be ranked, and why."""
    reasons = []
    for bench in setting.benches:
        what = f"{split} configurations"
        if len(setting.benches) > 1:
            what += f" of {bench.name}"
        reasons.append(why_unrankable(bench.oriented[getattr(bench, split)], what))
    return [reason for reason in reasons if reason]


def _rows(name: str, individual: Individual, setting: Setting) -> list[SummaryRow]:
    """Measure an individual on each bench, in the orientation of its training configurations."""
    if not setting.benches:
        return _untested(name, len(individual), individual.measurement, setting)
    return [
        _row(name, individual.measurement.sign * table, len(individual), setting, place)
        for place, table in enumerate(individual.row.tables)
    ]


def _untested(name: str, size: int, measurement: Measurement, setting: Setting) -> list[SummaryRow]:
    """Say what an objective of the caller's own made of a formula; it has no test."""
    networks, several = setting.objective.networks, len(setting.objective.networks) > 1
    return [
        SummaryRow(
            f"{name}, on {network}" if several else name, size, training, validation, *(None,) * 3
        )
        for network, (training, validation) in zip(networks, measurement.by_network, strict=True)
    ]


def _row(name: str, oriented: FloatArray, size: int, setting: Setting, place: int) -> SummaryRow:
    """Measure one oriented table on one bench."""
    bench, choices = setting.benches[place], setting.parts[place].choices
    scores = configuration_scores(centred(oriented), choices)

    pairs = setting.parts[place].pairs

    def tau(split: NDArray[np.intp]) -> float | None:
        return tau_on(scores[split], bench.oriented[split], among(pairs, split))

    test = tau(bench.test)
    low, high = (
        (None, None)
        if test is None
        else bootstrap_interval(
            scores[bench.test], bench.oriented[bench.test], pairs=among(pairs, bench.test)
        )
    )
    training = tau(bench.training) or 0.0
    if len(setting.benches) > 1:
        name = f"{name}, on {bench.name}"
    return SummaryRow(name, size, training, tau(bench.validation), test, low, high)
