"""Rankings as plain values, for JSON and CSV."""

import math
from collections.abc import Sequence
from typing import Any

from gp_emq.correlation import Figure
from gp_emq.ranking._matrix import MatrixRow
from gp_emq.ranking._rank import Ranking, Row
from gp_emq.ranking._spread import Spread

Record = dict[str, Any]


def ranking_record(ranking: Ranking) -> Record:
    """Everything about one bench, with nulls where a number is not defined."""
    quality, options = ranking.quality, ranking.options
    return {
        "bench": ranking.bench,
        "network": ranking.network,
        "protocol": ranking.protocol,
        "split": options.split,
        "configurations": len(ranking.chosen),
        "form": options.form,
        "bootstrap_resamples": options.resamples,
        "seed": options.seed,
        "accuracy_mean": _number(quality.mean),
        "accuracy_spread": _number(quality.spread),
        "accuracy_sampling_error": _number(quality.sampling_error),
        "reliability": _number(quality.reliability),
        "noise_ceiling": _number(quality.noise_ceiling),
        "additive_ceiling": _number(quality.additive_ceiling),
        "undefined": dict(ranking.undefined),
        "budgets": [
            {"share": budget.share, "mebibytes": budget.size} for budget in ranking.budgets
        ],
        "proxies": [row_record(ranking, row) for row in ranking.rows],
    }


def row_record(ranking: Ranking, row: Row) -> Record:
    """One proxy on one bench, flat."""
    record: Record = {
        "bench": ranking.bench,
        "split": ranking.options.split,
        "configurations": len(ranking.chosen),
        "proxy": row.proxy.name,
        "family": row.proxy.family,
        "formula": row.proxy.formula,
        "mark": row.mark.name.lower(),
    }
    for name, figure in row.figures.items():
        record |= _figure(name, figure)
    for budget, lost in zip(ranking.budgets, row.regrets, strict=False):
        record[f"regret_{budget.share:.0%}".rstrip("%")] = _number(lost)
    if row.calibration:
        record["calibration_low"] = _number(min(row.calibration))
        record["calibration_high"] = _number(max(row.calibration))
    record["statistics_seconds"] = round(row.scored.statistics_seconds, 4)
    record["scoring_seconds"] = round(row.scored.scoring_seconds, 4)
    record["note"] = row.scored.note
    return record


def spread_record(bench: str, spread: Spread) -> Record:
    """One proxy of the published procedure, flat."""
    record: Record = {"bench": bench, "proxy": spread.proxy.name}
    for name, figure in spread.figures.items():
        record |= _figure(name, figure)
    return record | {"note": spread.note}


def matrix_record(benches: Sequence[str], row: MatrixRow) -> Record:
    """One proxy on all benches, flat."""
    taus = {
        bench: _number(figure.value) for bench, figure in zip(benches, row.figures, strict=True)
    }
    return {"proxy": row.name, "mean_rank": row.mean_rank, "kendall": taus}


def _figure(name: str, figure: Figure) -> Record:
    return {
        name: _number(figure.value),
        f"{name}_low": _number(figure.low),
        f"{name}_high": _number(figure.high),
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
