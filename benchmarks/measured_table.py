"""A Markdown table of the comparison of measured plans."""

from collections.abc import Sequence

import numpy as np

from benchmarks.measured_rows import CALIBRATED, MEASURED, PAIRS, START, UNIFORM, Row, Way

_COLUMNS = (
    "network", "size", "float", "uniform", "start", "measured", "calibrated", "loss, measured",
    "loss, calibrated", "tau, table → calibrated",
)  # fmt: skip


def table_of(rows: Sequence[Row]) -> list[str]:
    """Write a Markdown table of all rows, and what the ways gain on the average."""
    lines = [
        "| " + " | ".join(_COLUMNS) + " |",
        "|---" * len(_COLUMNS) + "|",
    ]
    for row in rows:
        start = row.ways[START].loss.value
        cells = [
            row.network, f"{row.share:g}", f"{100 * row.floating.value:.2f}",
            *(_accuracy(row, name) for name in (UNIFORM, START, MEASURED, CALIBRATED)),
            *(_loss(row.ways[name], start) for name in (MEASURED, CALIBRATED)),
            f"{row.table_tau.value:.2f} → {row.tau.value:.2f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += _pairs_table([row for row in rows if row.together is not None])
    for part in dict.fromkeys(row.part for row in rows):
        for name in (MEASURED, CALIBRATED, PAIRS):
            own = [row for row in rows if row.part == part and name in row.ways]
            if not own:
                continue
            gains = [100 * row.ways[name].change.value for row in own]
            losses = [_relative(row.ways[name], row.ways[START].loss.value) for row in own]
            worse = sum((row.ways[name].change.high or 0.0) < 0 for row in own)
            lines.append(
                f"\n{part} networks, {name}: top-1 {np.mean(gains):+.2f} % and loss "
                f"{np.mean(losses):+.1f} % of the start's, on the average of {len(own)}; worse "
                f"than the start beyond the interval: {worse}"
            )
    return lines


def _pairs_table(rows: Sequence[Row]) -> list[str]:
    """Write a Markdown table of what pairs of entries brought."""
    if not rows:
        return []
    columns = ("network", "size", "plans measured", "tau, singly → with pairs", "pairs", "loss")
    lines = ["", "| " + " | ".join((*columns, "top-1")) + " |", "|---" * 7 + "|"]
    for row in rows:
        found, start = row.together, row.ways[START].loss.value
        assert found is not None  # noqa: S101 - rows have it
        taus = f"{found.single_tau.value:.2f} → {found.tau.value:.2f}"
        used = ("used" if found.used else "not used") + (", kept" if found.kept else "")
        cells = [row.network, f"{row.share:g}", f"{found.measured}", taus, used]
        cells += [_loss(row.ways[PAIRS], start), _accuracy(row, PAIRS)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _accuracy(row: Row, name: str) -> str:
    if name not in row.ways:
        return "–"
    way = row.ways[name]
    text = f"{100 * way.accuracy.value:.2f}"
    if name in (UNIFORM, START):
        return text
    low, high = (100 * (end or 0.0) for end in (way.change.low, way.change.high))
    return f"{text} ({100 * way.change.value:+.2f} [{low:+.2f}, {high:+.2f}])"


def _relative(way: Way, start: float) -> float:
    return 100 * way.loss_change.value / start if start > 0 else 0.0


def _loss(way: Way, start: float) -> str:
    if start <= 0:
        return "–"
    low, high = (100 * (end or 0.0) / start for end in (way.loss_change.low, way.loss_change.high))
    return f"{_relative(way, start):+.0f} % [{low:+.0f}, {high:+.0f}]"
