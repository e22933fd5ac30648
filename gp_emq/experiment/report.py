"""The summary that a run ends with, as lines of text."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gp_emq.experiment._found import Result
from gp_emq.store import Member, read_hall_of_fame

_NAME = 40
"""Characters of the column of names, at least."""


def summary_lines(result: Result, figures: Iterable[Path]) -> list[str]:
    """Say what a completed run found.

    Args:
        result: How the run ended.
        figures: The plots that were drawn.

    Returns:
        Lines for standard output.
    """
    summary = result.summary
    assert summary is not None  # noqa: S101 - completed runs have one
    hall = read_hall_of_fame(result.folder / "hall_of_fame.json")
    provenance = hall.provenance
    lines = [
        "",
        (
            f"{result.reason}; {provenance.evaluations} proxies evaluated on bench "
            f"{provenance.bench} ({summary['protocol']})"
        ),
        "",
        "Pareto front of training tau against size:",
        f"  {'size':>4}  {'train':>6}  {'valid':>6}  formula (table = sign × formula), expression",
    ]
    validated = "validation" not in summary.get("undefined", {})
    for member in hall.members:
        lines += [_member_line(member, validated=validated), " " * 25 + member.expression]
    best = hall.best
    width = max([_NAME, *(len(row["name"]) for row in summary["rows"])])
    lines += [
        "",
        f"recommended ({_why_recommended(summary)}):",
        f"  {best.formula}",
        f"  {best.expression}",
        *_constants(summary),
        *_by_whom(summary),
        "",
        (
            f"Kendall tau on {summary['test_configurations']} test configurations, read once, "
            "with bootstrap 95 % interval:"
        ),
        f"  {'proxy':{width}} {'train':>6}  {'valid':>6}  {'test':>6}  interval",
    ]
    lines.extend(
        f"  {row['name']:{width}} {row['training']:6.3f}  {_tau(row['validation'])}  "
        f"{_tau(row['test'])}  {_interval(row)}"
        for row in summary["rows"]
    )
    undefined: Mapping[str, str] = summary.get("undefined", {})
    lines.extend(f"  –: {reason}" for reason in undefined.values())
    if (spared := summary.get("spared")) is not None:
        lines += [
            "",
            (
                f"{spared['formulas']} of {spared['evaluated']} formulas could not win, and were "
                f"not measured to their end; plans on {spared['benches']} of {spared['of']} benches"
            ),
        ]
    lines += ["", f"run:     {result.folder}"]
    # The report comes last, where it is seen.
    drawn = sorted(figures, key=lambda path: path.suffix == ".html")
    lines.extend(f"{'report' if p.suffix == '.html' else 'figure'}:  {p}" for p in drawn)
    return lines


def _constants(summary: Mapping[str, Any]) -> Iterator[str]:
    """Say what fitting constants came to."""
    if summary.get("constants") == []:
        yield "  constants: of none of the formulas that were fitted do any help in training"
    for one in summary.get("constants", ()):
        where = "no table on the validation networks"
        if one["gain"] is not None:
            where = f"{one['gain']:+.3f} ± {one['standard_error']:.3f} on the validation networks"
        yield (
            f"  constants {'pay' if one['pays'] else 'do not pay'}: training "
            f"{one['before']:.3f} to {one['training']:.3f}, {where}, of {one['expression']}"
        )


def _by_whom(summary: Mapping[str, Any]) -> Iterator[str]:
    """Say what hand-made proxies come to on other networks, or that none were asked."""
    found = summary.get("validation_networks")
    if found is None:
        yield "  other networks had no say: let them choose what is to rank them, by --validate-on"
    elif rivals := found.get("rivals"):
        told = ", ".join(f"{name} {tau:.3f}" for name, tau in rivals.items())
        yield f"  hand-made proxies on the same: {told}"


def _why_recommended(summary: Mapping[str, Any]) -> str:
    found = summary.get("validation_networks")
    if found is None:
        return "best validation tau among those closest to the best training tau"
    count = len(found["taus"])
    benches = f"{count} bench{'es' if count > 1 else ''} of validation networks"
    tau = f"{found['mean']:.3f} ± {found['standard_error']:.3f}"
    if summary.get("fitted"):
        return f"with fitted constants, which pay on {benches}: mean tau {tau}"
    return f"the shortest within one standard error of the best on {benches}: mean tau {tau}"


def _tau(value: float | None) -> str:
    return f"{'–':>6}" if value is None else f"{value:6.3f}"


def _interval(row: Mapping[str, Any]) -> str:
    return "–" if row["low"] is None else f"[{row['low']:.3f}, {row['high']:.3f}]"


def _member_line(member: Member, *, validated: bool) -> str:
    mark = "*" if member.best else " "
    sign = "−" if member.sign < 0 else " "
    return (
        f"{mark} {member.size:4}  {member.training_tau:6.3f}  "
        f"{_tau(member.validation_tau if validated else None)}  "
        f"{sign}{member.formula}"
    )
