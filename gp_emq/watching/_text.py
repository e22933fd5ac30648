"""A run under way, as plain text."""

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path

from gp_emq.columns import NARROWEST, wrapped
from gp_emq.store import GenerationRow
from gp_emq.watching._snapshot import Measured, Snapshot, Summary

_LABEL = 13
_MOST_LINES = 4
"""Of an expression."""
_SILENT = 60.0
"""Seconds without a word from which on it is said that a run may have been stopped."""
_SILENT_PACES = 10
_FILE_WIDTH = 100
"""Columns of a snapshot where the terminal does not say how many there are."""


def snapshot_lines(snapshot: Snapshot, width: int | None) -> list[str]:
    """Say all there is to know of a run.

    Args:
        snapshot: The run at one moment.
        width: Columns of the terminal; None where there is none.

    Returns:
        Lines, none wider.
    """
    room = max(NARROWEST, width or _FILE_WIDTH)
    lines = wrapped(_title(snapshot), room)
    if not snapshot.has_begun:
        return [*lines, *wrapped(_waiting(snapshot), room)]
    lines += _progress(snapshot, room)
    return [*lines, *ending_lines(snapshot, room)]


def generation_line(snapshot: Snapshot, row: GenerationRow, width: int | None) -> str:
    """Say in one line what a generation has come to.

    Args:
        snapshot: Of the run, with what is known of its end.
        row: The generation.
        width: Columns the line may have; None for any number.
    """
    parts = [
        f"generation {_of(row.generation, snapshot.total)}",
        f"{row.evaluations:,} evaluations",
        f"tau training {_tau(row.best_training)}, validation {_tau(row.best_validation)}",
        f"diversity {_two(row.diversity)}",
        f"{sum(row.rejections.values())} rejected",
    ]
    if row is snapshot.last:
        if snapshot.rate is not None:
            parts.append(f"{snapshot.rate:.3g} evaluations a second")
        if snapshot.seconds_left is not None:
            parts.append(f"{_duration(snapshot.seconds_left)} left")
        if snapshot.best is not None:
            parts += [f"size {snapshot.best.size}", snapshot.best.expression]
    line = "; ".join(parts)
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def ending_lines(snapshot: Snapshot, width: int | None) -> list[str]:
    """Say what a completed run found; none before it is complete."""
    if snapshot.summary is None:
        return []
    return _ending(snapshot.summary, snapshot.formula, max(NARROWEST, width or _FILE_WIDTH))


def _title(snapshot: Snapshot) -> str:
    given = snapshot.given
    if given is None:
        return f"run {snapshot.folder}"
    benches = " + ".join(map(_stem, (given.bench, *given.more_benches)))
    what = f"{benches}, {_stem(given.primitives)}, {given.selection}, seed {given.seed}"
    return f"run {snapshot.folder}: {what}"


def _stem(name: str) -> str:
    return Path(name).stem if "/" in name else name


def _waiting(snapshot: Snapshot) -> str:
    return f"{snapshot.folder} has no store yet: a run that begins there collects its statistics"


def _progress(snapshot: Snapshot, room: int) -> list[str]:
    last, best = snapshot.last, snapshot.best
    if last is None:
        state = f"none is complete yet; of {snapshot.total}" if snapshot.total else "none yet"
        return _labelled("generation", state, room)
    pace = "" if snapshot.pace is None else f"; {_duration(snapshot.pace)} each"
    rate = "" if snapshot.rate is None else f"; {snapshot.rate:.3g} a second"
    lines = _labelled("generation", _of(last.generation, snapshot.total) + pace, room)
    done = f"{last.evaluations:,} of {last.proposals:,} proposals{rate}"
    if snapshot.random_evaluations is not None:
        done = f"{last.evaluations:,} of {last.proposals:,} proposals"
    lines += _labelled("evaluations", done, room)
    if best is not None:
        taus = f"tau {_tau(best.training_tau)} training, {_tau(best.validation_tau)} validation"
        lines += _labelled("best", f"{taus}; size {best.size}", room)
        lines += _labelled("", best.expression, room)
    members = f"{len(last.population)} formulas, median tau {_tau(last.median_training)}"
    lines += _labelled("population", f"{members}, diversity {_two(last.diversity)}", room)
    lines += _labelled("rejected", _rejected(snapshot.rejections), room)
    if snapshot.random_evaluations is not None:
        state = f"{snapshot.random_evaluations:,} of {last.evaluations:,} evaluations{rate}"
        lines += _labelled("random search", state, room)
    if not snapshot.is_complete:
        lines += _labelled("time left", _time_left(snapshot), room)
        lines += _labelled("written", _written(snapshot), room)
    return lines


def _time_left(snapshot: Snapshot) -> str:
    if snapshot.seconds_left is None:
        return "not known"
    random = snapshot.random_evaluations is not None
    phase = "of the random search" if random else "of the search"
    return f"about {_duration(snapshot.seconds_left)} {phase}"


def _written(snapshot: Snapshot) -> str:
    text = f"{_duration(snapshot.age)} ago"
    if snapshot.age > max(_SILENT, _SILENT_PACES * (snapshot.pace or 0.0)):
        text += "; a run that was stopped goes on with gp_emq run --resume"
    return text


def _rejected(rejections: Mapping[str, int]) -> str:
    if not rejections:
        return "none"
    listed = ", ".join(f"{reason} {count:,}" for reason, count in rejections.items())
    return f"{sum(rejections.values()):,}: {listed}"


def _ending(summary: Summary, formula: str | None, room: int) -> list[str]:
    lines = _labelled("complete", f"{summary.evaluations:,} evaluations of the search", room)
    if formula is not None:
        lines += _labelled("recommended", formula, room)
    for row in summary.rows:
        if row.name.startswith("evolved"):
            lines += _labelled("", f"{row.name}: {_measured(row)}", room)
    return lines


def _measured(row: Measured) -> str:
    text = f"tau {_tau(row.training)} training, {_tau(row.validation)} validation"
    if row.test is None:
        return text
    return f"{text}, {_tau(row.test)} [{_tau(row.low)}, {_tau(row.high)}] test"


def _labelled(label: str, text: str, room: int) -> list[str]:
    """Set a text beside its label, in lines of at most so many columns."""
    lines = textwrap.wrap(text, max(1, room - _LABEL - 2)) or [""]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1][:-1]}…"]
    return [f"{label if place == 0 else '':{_LABEL}}  {line}" for place, line in enumerate(lines)]


def _of(done: int, total: int | None) -> str:
    return str(done) if total is None else f"{done} of {total}"


def _tau(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _two(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
