"""What a study comes to: means over benches and seeds, and differences with their intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from gp_emq.ablation._carry_out import Outcome
from gp_emq.columns import format_columns

LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """A variant beside the first one.

    Args:
        variant: Its name.
        training: Mean over seeds of what the searches maximised.
        equal_cost: Mean over seeds and held-out benches of tau at equal cost; nan without any.
        all_pairs: The same over all pairs.
        picks: Mean over both of what the configurations are worth that it picks at each size.
        difference: Of `equal_cost`, or of `training` without held-out benches, to the first
            variant: mean over seeds, each of the two with the same seed.
        interval: Of the difference, at 95 %, by Student's t over seeds; nan of one seed.
        size: Mean nodes of the recommended formulas.
        evaluations: Mean of the searches.
    """

    variant: str
    training: float
    equal_cost: float
    all_pairs: float
    picks: float
    difference: float
    interval: tuple[float, float]
    size: float
    evaluations: float


def comparisons(outcomes: Sequence[Outcome]) -> list[Comparison]:
    """Compare every variant with the first.

    Args:
        outcomes: Of a study, of every variant the same seeds in the same order.

    Returns:
        One for each variant, in the order of the study.
    """
    by_variant: dict[str, list[Outcome]] = {}
    for one in outcomes:
        by_variant.setdefault(one.variant, []).append(one)
    first = np.array([_counts(one) for one in next(iter(by_variant.values()))])
    found = []
    for variant, own in by_variant.items():
        differences = np.array([_counts(one) for one in own]) - first
        found.append(
            Comparison(
                variant,
                float(np.mean([one.formula.training for one in own])),
                float(np.mean([_mean(one.equal_cost) for one in own])),
                float(np.mean([_mean(one.all_pairs) for one in own])),
                float(np.mean([_mean(one.picks) for one in own])),
                float(differences.mean()),
                _interval(differences),
                float(np.mean([one.formula.size for one in own])),
                float(np.mean([one.evaluations for one in own])),
            )
        )
    return found


def _mean(taus: Mapping[str, float]) -> float:
    return float(np.mean(list(taus.values()))) if taus else float("nan")


def _counts(one: Outcome) -> float:
    return _mean(one.equal_cost) if one.equal_cost else one.formula.training


def _interval(differences: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float]:
    count = len(differences)
    if count < 2:
        return float("nan"), float("nan")
    error = differences.std(ddof=1) / np.sqrt(count)
    half = float(stdtrit(count - 1, (1 + LEVEL) / 2) * error)
    return float(differences.mean() - half), float(differences.mean() + half)


def table_lines(compared: Sequence[Comparison]) -> list[str]:
    """Give the comparison as lines of text."""
    first = compared[0].variant
    head = (
        "variant",
        "training",
        "held out",
        "all pairs",
        "picks",
        f"to {first}",
        "95 %",
        "size",
        "evals",
    )
    rows = []
    for one in compared:
        low, high = one.interval
        is_first = one.variant == first
        rows.append(
            (
                one.variant,
                _number(one.training),
                _number(one.equal_cost),
                _number(one.all_pairs),
                _number(one.picks),
                "" if is_first or np.isnan(one.difference) else f"{one.difference:+.3f}",
                "" if is_first or np.isnan(low) else f"[{low:+.3f}, {high:+.3f}]",
                f"{one.size:.1f}",
                f"{one.evaluations:,.0f}",
            )
        )
    return format_columns(head, rows)


def notes_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Say which formulas have no table on which held-out benches, where they count as 0."""
    return [
        f"{one.variant}, seed {one.seed}: the formula counts as 0 on {bench}, where {reason}"
        for one in outcomes
        for bench, reason in one.without.items()
    ]


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def rows_of(outcomes: Sequence[Outcome]) -> Iterator[dict[str, str | int | float]]:
    """Give a row for each search and held-out bench; without benches, one for each search."""
    for one in outcomes:
        for bench in one.equal_cost or {"": float("nan")}:
            yield {
                "variant": one.variant,
                "seed": one.seed,
                "evaluations": one.evaluations,
                "training": one.formula.training,
                "validation": one.formula.validation,
                "size": one.formula.size,
                "bench": bench,
                "equal_cost": one.equal_cost.get(bench, float("nan")),
                "all_pairs": one.all_pairs.get(bench, float("nan")),
                "picks": one.picks.get(bench, float("nan")),
                "without": one.without.get(bench, ""),
                "formula": str(one.formula),
                "expression": one.formula.expression,
                "sign": one.formula.sign,
            }
