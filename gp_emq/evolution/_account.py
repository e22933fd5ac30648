"""What a search says of its generations, and whether a stored one is still true."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from deap import tools

from gp_emq.errors import PrimitiveSetError, RunError
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._judging import is_same
from gp_emq.evolution._reasons import FAILED
from gp_emq.evolution._selection import best_of, diversity
from gp_emq.evolution._tables import Outcome
from gp_emq.store import GenerationRow, IndividualRow


def generation_row(
    generation: int,
    population: Sequence[Individual],
    rows: Iterable[IndividualRow],
    *,
    taus: Mapping[str, float],
    evaluations: int,
    proposals: int,
    seconds: float,
) -> GenerationRow:
    """Describe a generation.

    Args:
        generation: Its number.
        population: Who is in the population after it.
        rows: Everyone proposed in it.
        taus: The best and the median training tau of the population.
        evaluations: How many the search has evaluated.
        proposals: How many it has proposed.
        seconds: How long the generation took.
    """
    rejections = Counter(row.reason for row in rows if row.reason is not None)
    return GenerationRow(
        generation=generation,
        population=tuple(individual.identifier for individual in population),
        best_training=float(taus["best"]),
        median_training=float(taus["median"]),
        best_validation=best_of(population).measurement.validation,
        diversity=diversity(population),
        evaluations=evaluations,
        proposals=proposals,
        rejections=dict(sorted(rejections.items())),
        seconds=seconds,
    )


def log(logbook: tools.Logbook, row: GenerationRow) -> None:
    """Write a generation into DEAP's logbook."""
    logbook.record(
        gen=row.generation,
        nevals=row.evaluations,
        best=row.best_training,
        median=row.median_training,
        validation=row.best_validation,
        diversity=row.diversity,
    )


def is_complete(row: IndividualRow) -> bool:
    """Say whether an individual was measured to its end on all benches, or not at all."""
    return row.training_tau is None or all(one.validation_tau is not None for one in row.benches)


def best_of_sizes(rows: Iterable[IndividualRow]) -> list[IndividualRow]:
    """Give the first of the best individuals of each size, which hold the Pareto front."""
    best: dict[int, IndividualRow] = {}
    for row in filter(is_complete, rows):
        known = best.get(row.size)
        if row.training_tau is not None and (
            known is None or row.training_tau > (known.training_tau or 0.0)
        ):
            best[row.size] = row
    return list(best.values())


def check_front(front: Sequence[Individual], outcomes: Iterable[Outcome], name: str) -> None:
    """Compare stored tables, and with them their signs, with those of their formulas.

    Args:
        front: Restored individuals.
        outcomes: What their expressions come to now.
        name: Of the primitive set.

    Raises:
        RunError: A formula no longer gives the tables that are stored with it.
    """
    for individual, outcome in zip(front, outcomes, strict=True):
        if outcome.reason is not None and outcome.reason.startswith(FAILED):
            continue
        stored = individual.row.tables
        if len(outcome.tables) != len(stored) or not all(map(is_same, outcome.tables, stored)):
            raise RunError(
                f"individual {individual.identifier} of the run, {individual.expression}, no "
                f"longer gives the table that is stored with it: primitive set {name!r} has "
                "changed, or an earlier version made the run; start a new one instead"
            )


def check_first_population(
    population: Sequence[Individual], rows: Sequence[IndividualRow], name: str
) -> None:
    """Make sure that there is an initial population.

    Args:
        population: Who entered it.
        rows: Everyone proposed for it.
        name: Of the primitive set.

    Raises:
        PrimitiveSetError: It is empty.
    """
    if population:
        return
    counts = Counter(row.reason for row in rows)
    reasons = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
    raise PrimitiveSetError(
        f"primitive set {name!r}: none of {len(rows)} random individuals "
        f"passes the screen: {reasons or 'none was asked for'}"
    )
