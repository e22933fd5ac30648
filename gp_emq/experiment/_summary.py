"""What a run found: its front, its best formula, and the test configurations, read once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gp_emq.evolution import Individual, Search, centred
from gp_emq.experiment._setting import Setting
from gp_emq.proxies import (
    Evaluator,
    bootstrap_interval,
    configuration_scores,
    kendall_tau,
    language,
    parse_expression,
    to_formula,
    why_unrankable,
)
from gp_emq.statistics import Statistics
from gp_emq.store import HallOfFame, Member, Provenance

SIZE_BASELINES = {
    "sum of bits": "bits",
    "BParams": "multiply(parameter_count, bits)",
}
"""Hand-crafted proxies that every run is compared with; higher sums predict higher accuracy."""

CLOSE_TO_BEST = 0.02
"""Members of the front this close to the best training tau compete on validation tau."""


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


def front_of(search: Search) -> list[Individual]:
    """Give the Pareto front of training tau against size, smallest first, one per size."""
    members: dict[int, Individual] = {}
    for individual in sorted(search.hall_of_fame, key=lambda i: (len(i), i.identifier)):
        members.setdefault(len(individual), individual)
    return list(members.values())


def recommended(front: Sequence[Individual]) -> Individual:
    """Choose the formula that a run recommends, without looking at the test configurations.

    Of the front's members within `CLOSE_TO_BEST` of the best training tau, the one with the
    highest validation tau; of equals the smallest.
    """
    best = max(individual.tau for individual in front)
    close = [individual for individual in front if best - individual.tau <= CLOSE_TO_BEST]
    return max(close, key=lambda i: (i.measurement.validation, -len(i)))


def hall_of_fame(search: Search, setting: Setting, statistics_sha256: str) -> HallOfFame:
    """Make the hall of fame of a search."""
    front = front_of(search)
    best = recommended(front)
    provenance = Provenance(
        bench=setting.bench.name,
        bench_sha256=setting.bench_sha256,
        statistics_sha256=statistics_sha256,
        primitive_set=setting.primitive_set.name,
        seed=setting.configuration.seed,
        generations=search.generation,
        evaluations=search.evaluations,
    )
    members = tuple(
        Member(
            id=individual.identifier,
            generation=individual.generation,
            expression=individual.expression,
            canonical=individual.canonical,
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
    search: Search, random_search: Search | None, setting: Setting, statistics: Statistics
) -> dict[str, Any]:
    """Measure the recommended formula, the random search's and the size baselines on the test.

    Returns:
        The summary that the store keeps and the report shows.
    """
    bench = setting.bench
    front = front_of(search)
    best = recommended(front)
    rows = [_row(f"evolved ({setting.configuration.selection})", best.table, len(best), setting)]
    if random_search is not None:
        found = recommended(front_of(random_search))
        name = f"random search, {random_search.evaluations} evaluations"
        rows.append(_row(name, found.table, len(found), setting))
    for name, expression in SIZE_BASELINES.items():
        tree = parse_expression(expression, language())
        table = Evaluator(language(), statistics).table(tree).numpy()
        rows.append(_row(name, table, len(tree), setting, oriented=True))
    undefined = {
        name: reason
        for name, part in (("validation", bench.validation), ("test", bench.test))
        if (reason := why_unrankable(bench.accuracies[part], f"{name} configurations"))
    }
    return {
        **({"undefined": undefined} if undefined else {}),
        "best": best.identifier,
        "front": [individual.identifier for individual in front],
        "rows": [asdict(row) for row in rows],
        "protocol": str(bench.protocol),
        "evaluations": search.evaluations,
        "test_configurations": len(bench.test),
    }


def _row(
    name: str,
    table: np.ndarray[Any, np.dtype[np.float64]],
    size: int,
    setting: Setting,
    *,
    oriented: bool = False,
) -> SummaryRow:
    """Measure one table; its sign comes from the training configurations unless it has one."""
    bench, fitness = setting.bench, setting.fitness
    sign = 1 if oriented else fitness.measure([table])[0].sign
    scores = sign * configuration_scores(centred(table), fitness.choices)

    def tau(split: np.ndarray[Any, np.dtype[np.intp]]) -> float | None:
        accuracies = bench.accuracies[split]
        return None if why_unrankable(accuracies, "") else kendall_tau(scores[split], accuracies)

    test = tau(bench.test)
    low, high = (
        (None, None)
        if test is None
        else bootstrap_interval(scores[bench.test], bench.accuracies[bench.test])
    )
    training = kendall_tau(scores[bench.training], bench.accuracies[bench.training])
    return SummaryRow(name, size, training, tau(bench.validation), test, low, high)
