"""The bits that a run's formula gives every layer, within three budgets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis._run_data import BITS_OF_A_MIB, BenchData, oriented_table
from analysis.reporting import _drawing as look
from analysis.reporting._drawing import Drawing, axis
from analysis.reporting._source import RunSource
from gp_emq.allocation._solver import maximise

BUDGETS = (0.25, 0.5, 0.75)
"""Of the way from the smallest configuration to the largest."""


@dataclass(frozen=True)
class BitPlan:
    """The best bits within a budget.

    Attributes:
        limit: what may be spent, in MiB or in bits per entry on average.
        spent: what is.
        widths: int64 (entries,).
    """

    limit: float
    spent: float
    widths: NDArray[np.int64]


def bit_plans(
    table: NDArray[np.float64],
    bits: Sequence[int],
    parameters: NDArray[np.int64] | None,
    shares: Sequence[float] = BUDGETS,
) -> list[BitPlan]:
    """Choose the widths of the highest score within budgets, exactly.

    Args:
        table: float64 (entries, bits), higher sums predict higher accuracy; widths that an entry
            may not take are not finite.
        bits: the widths of the columns, rising.
        parameters: int64 (entries,), weights of each entry; None counts bits alone.
        shares: the budgets, of the way from the cheapest to the dearest.
    """
    entries = len(table)
    each = np.ones(entries) if parameters is None else parameters.astype(np.float64)
    unit = float(entries) if parameters is None else float(BITS_OF_A_MIB)
    allowed = [np.flatnonzero(np.isfinite(row)) for row in table]
    scores = [row[places].tolist() for row, places in zip(table, allowed, strict=True)]
    costs = [
        [count * bits[int(place)] / unit for place in places]
        for count, places in zip(each, allowed, strict=True)
    ]
    cheapest, dearest = sum(map(min, costs)), sum(map(max, costs))
    plans = []
    for share in shares:
        limit = cheapest + share * (dearest - cheapest)
        best = maximise(scores, [costs], [limit])
        if best is None:
            raise ValueError(f"nothing fits within {limit:g}, where {cheapest:g} is the cheapest")
        chosen = [places[option] for places, option in zip(allowed, best.choices, strict=True)]
        widths = np.array([bits[int(place)] for place in chosen], dtype=np.int64)
        plans.append(BitPlan(limit, float((each * widths).sum() / unit), widths))
    return plans


def draw_plans(run: RunSource, bench: BenchData, name: str) -> Drawing:
    """Draw the bits of every layer at three budgets."""
    table = oriented_table(run.chosen, bench, run.folder)
    plans = bit_plans(table, bench.bits, bench.parameters)
    unit = "bits" if bench.parameters is None else "MiB"
    columns = [f"{plan.limit:.4g}<br>{unit}" for plan in plans]
    widths = np.stack([plan.widths for plan in plans], axis=1)
    low, high = bench.bits[0], bench.bits[-1]
    entries = len(table)
    names = [look.plain(entry, 26) for entry in bench.entry_names]
    trace = {
        "type": "heatmap", "x": columns, "y": list(range(entries)), "z": widths.tolist(),
        "text": widths.tolist(), "texttemplate": "%{text}", "zmin": low, "zmax": high,
        "customdata": [[entry] * len(plans) for entry in names],
        "colorscale": [[0, "#d5e8f5"], [0.5, "#8dc1e4"], [1, "#0b4f82"]],
        "showscale": False, "xgap": 2, "ygap": 1,
        "hovertemplate": "%{customdata}: %{z} bits<extra></extra>",
    }  # fmt: skip
    means = ", ".join(f"{plan.widths.mean():.2f}" for plan in plans)
    changed = int((widths != widths[:, :1]).any(axis=1).sum())
    title = f"{bench.name}: the bits of {changed} of {entries} layers depend on the budget"
    what = "bits on average" if bench.parameters is None else "MiB of weights and biases"
    note = (
        f"The widths of the highest score within budgets of {what}, a quarter, half and three "
        f"quarters of the way from {low} to {high} bits everywhere; {means} bits on average."
    )
    layout = {
        "xaxis": axis(side="top", type="category", showgrid=False, tickangle=0),
        "yaxis": axis(
            autorange="reversed", showgrid=False, tickvals=list(range(entries)), ticktext=names,
            tickfont={"size": 11},
        ),
        "margin": {"t": 44, "b": 8},
    }  # fmt: skip
    height = 80 + 21 * entries
    return Drawing(f"{name}-{bench.place}", title, note, [trace], layout, height, height,
                   narrow=True)  # fmt: skip
