"""Rows as a table in markdown."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_models.model import FORMS, SHARE, RealModel
from benchmarks.real_models.rows import FLOAT, RACED, UNIFORM, Row
from benchmarks.real_models.study import AVERAGES, PLANS
from gp_emq.ptq import Measured, change, measured

Found = Mapping[tuple[str, int], Row]


def table(model: RealModel, found: Found) -> Iterator[str]:
    """Give the lines of a model's table.

    Args:
        model: The model.
        found: Its rows by plan and average, all there are.
    """
    floating = found[FLOAT, 0]
    better = "higher" if floating.higher_is_better else "lower"
    shown = model.form if model.form != SHARE else floating.metric
    yield (
        f"**{model.name}**: {model.what}. {shown.capitalize()}, {better} is better, of "
        f"{len(floating.values)} samples; {model.calibration} others calibrate, plans race on "
        f"{model.held_back}; `{model.method}`"
        + (f", groups of {model.group}" if model.group else "")
        + f". Float: {_cell(model, floating, floating)}, {_kib(floating)}."
    )
    yield ""
    heads = [f"{average} bits, {_kib(found[UNIFORM, average])}" for average in AVERAGES]
    yield f"| plan by | {' | '.join(heads)} |"
    yield "|---|" + "---|" * len(AVERAGES)
    for plan in PLANS:
        cells = [
            _cell(model, found[plan, average], found[UNIFORM, average]) for average in AVERAGES
        ]
        yield f"| {_name(plan)} | {' | '.join(cells)} |"
    yield ""


def _name(plan: str) -> str:
    return plan if plan in (UNIFORM, RACED) else f"`{plan}`"


def _cell(model: RealModel, row: Row, beside: Row) -> str:
    """Show a metric with its interval: bold where it is surely better than another, else plain.

    In italics where it is surely worse.
    """
    if row.fault:
        return f"none: {row.fault}"
    own = _values(model, row)
    found = measured(own)
    text = FORMS[model.form](found.value)
    if found.low is not None and found.high is not None:
        text += f" [{FORMS[model.form](found.low)}, {FORMS[model.form](found.high)}]"
    if not beside.fault and row != beside:
        text = _marked(text, change(_values(model, beside), own), row.higher_is_better)
    return f"{text} {_name(row.planned_by)}" if row.plan == RACED else text


def _marked(text: str, changed: Measured, higher_is_better: bool) -> str:
    if changed.low is None or changed.high is None or changed.low <= 0 <= changed.high:
        return text
    return f"**{text}**" if (changed.value > 0) == higher_is_better else f"*{text}*"


def _values(model: RealModel, row: Row) -> NDArray[np.bool_] | NDArray[np.float64]:
    values = np.array(row.values, dtype=np.float64)
    return values.astype(np.bool_) if model.form == SHARE else values


def _kib(row: Row) -> str:
    return f"{row.size / 1024:.1f} KiB"
