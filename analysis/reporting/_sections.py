"""What a report says of one run, section by section."""

from collections.abc import Callable, Sequence
from html import escape

from analysis.reporting import _page as html
from analysis.reporting._agreements import (
    Agreement,
    on_validation_networks,
    rivals_on_validation_networks,
)
from analysis.reporting._course import draw_course
from analysis.reporting._explained import explain
from analysis.reporting._facts import facts_of, provenance_of
from analysis.reporting._front import draw_front
from analysis.reporting._intervals import draw_agreements
from analysis.reporting._pedigree import draw_pedigree
from analysis.reporting._plans import draw_plans
from analysis.reporting._rivals import draw_rivals, rivals_of
from analysis.reporting._scatter import draw_scatter
from analysis.reporting._screening import draw_screening
from analysis.reporting._source import RunSource
from analysis.reporting._times import draw_times

Progress = Callable[[str], None]
"""Told what is made next."""


def sections(
    run: RunSource,
    found: Sequence[Agreement],
    progress: Progress,
    *,
    level: int,
    prefix: str = "",
) -> list[str]:
    """Everything about one run.

    Args:
        run: the run.
        found: how its formula ranks its benches.
        progress: told what is made next.
        level: of the headings.
        prefix: of the names of its figures.
    """

    def head(text: str) -> str:
        return html.heading(level, text)

    progress(f"{run.label}: formula")
    what = f"The {run.what}"
    parts = [head(what), *_formula(run)]
    parts += [head("What was run"), _facts(facts_of(run))]
    parts += [head("How well it ranks"), *_ranks(run, found, prefix)]
    parts += _rivals(run, progress, prefix, head("Beside other proxies"))
    if run.benches:
        progress(f"{run.label}: scores")
        parts.append(head("Scores against measurements"))
        parts += html.figures([draw_scatter(run, one, f"{prefix}scatter") for one in run.benches])
    parts += [head("Rank against size of the formula")]
    parts += html.figures([draw_front(run, f"{prefix}front")])
    parts += html.folded("The front as a table", [_front(run)])
    progress(f"{run.label}: search")
    parts += [head("How the search went")]
    parts += html.figures(
        [draw_course(run, f"{prefix}course"), draw_screening(run, f"{prefix}screening")]
    )
    progress(f"{run.label}: ancestors")
    parts += [head("Where the formula comes from")]
    parts += html.figures([draw_pedigree(run, f"{prefix}pedigree")])
    if run.benches:
        progress(f"{run.label}: bits")
        parts.append(head("Bits per layer"))
        parts += html.figures([draw_plans(run, one, f"{prefix}plans") for one in run.benches])
    parts += [head("Times"), *html.figures([draw_times(run, f"{prefix}times")])]
    rows = provenance_of(run)
    columns = (("what", "name"), ("value", "code"))
    return [*parts, *html.folded("Provenance", [html.table(columns, rows)])]


def _formula(run: RunSource) -> list[str]:
    found = explain(run)
    shown = found.mathml or f"<p>{escape(found.text)}</p>"
    parts = [f'<div class="formula">{shown}</div>']
    row = run.chosen
    facts = f"{row.size} nodes, found in generation {row.generation}."
    parts.append(html.note(f"{found.orientation} {facts} {_why(run)}"))
    columns = (("symbol", "text"), ("is", "text"))
    if found.symbols:
        parts.append(html.table(columns, found.symbols))
    if found.operators:
        names = (("operator", "text"), ("is", "text"))
        parts.append(html.table(names, found.operators))
    parts.append(f'<p class="code"><code>{escape(found.expression)}</code></p>')
    return parts


def _why(run: RunSource) -> str:
    if run.summary is None:
        return "The run has not finished: it is the best so far on the training configurations."
    if run.summary.get("fitted"):
        return (
            "Recommended with constants, which were fitted on the networks of the search: on the "
            "validation networks it is better than what would be recommended without, by more "
            "than twice the paired standard error."
        )
    if on_validation_networks(run):
        return (
            "Recommended, of the front, as the shortest within one standard error of the best on "
            "the validation networks."
        )
    return (
        "Recommended, of the front's formulas close to the best training τ, as the one of the "
        "highest validation τ."
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    text = html.table((("what", "name"), ("value", "text")), facts, headless=True)
    return text.replace("<table>", '<table class="facts">', 1)


def _ranks(run: RunSource, found: Sequence[Agreement], prefix: str) -> list[str]:
    parts: list[str] = []
    if found:
        parts += html.figures([draw_agreements(run, found, f"{prefix}agreements")])
        columns = (
            ("bench", "text"), ("split", "text"), ("configurations", "number"),
            ("τ, all pairs", "number"), ("τ at equal cost", "number"),
        )  # fmt: skip
        rows = [
            [one.bench, one.split, str(one.configurations), str(one.overall), str(one.equal_cost)]
            for one in found
        ]
        tests = [place for place, one in enumerate(found) if one.split == "test"]
        parts.append(html.table(columns, rows, marked=tests))
        if any(not one.equal_cost.known for one in found):
            parts.append(
                html.note("–: the run does not say how large layers are, or no pair can be ranked.")
            )
    taus = on_validation_networks(run)
    if taus:
        names = (("validation network", "text"), ("τ, all configurations", "number"))
        parts.append(html.heading(4, "On networks that the search did not see"))
        parts.append(html.table(names, [[name, _number(tau)] for name, tau in taus]))
        parts += _beside_rivals(run, [tau for _, tau in taus])
    return [*parts, *_baselines(run)]


def _beside_rivals(run: RunSource, taus: Sequence[float]) -> list[str]:
    """What hand-made proxies come to on the validation networks, where the run says so."""
    told = ", ".join(f"{name} {_number(tau)}" for name, tau in rivals_on_validation_networks(run))
    if not told:
        return []
    mean = _number(sum(taus) / len(taus))
    return [html.note(f"On average {mean}; hand-made proxies on the same: {told}.")]


def _baselines(run: RunSource) -> list[str]:
    """What a finished run compared itself with, as it printed it."""
    if run.summary is None:
        return []
    rows = run.summary["rows"]
    shown = [name for name in ("training", "validation", "test") if any(r.get(name) for r in rows)]
    columns = [("proxy", "text"), *((name, "number") for name in shown)]
    if "test" in shown:
        columns.append(("95 % interval of test", "number"))
    cells = []
    for row in rows:
        line = [str(row["name"]), *(_number(row.get(name)) for name in shown)]
        if "test" in shown:
            ends = row.get("low"), row.get("high")
            line.append("–" if None in ends else f"[{_number(ends[0])}, {_number(ends[1])}]")
        cells.append(line)
    measure = "τ at equal cost" if run.at_equal_cost else "Kendall τ"
    parts = [html.heading(4, f"Beside its baselines, {measure}")]
    parts.append(html.table(columns, cells, marked=[0]))
    parts += [html.note(f"–: {why}.") for why in run.summary.get("undefined", {}).values()]
    return parts


def _rivals(run: RunSource, progress: Progress, prefix: str, title: str) -> list[str]:
    drawings = []
    for bench in run.benches:
        progress(f"{run.label}: other proxies")
        drawings.append(draw_rivals(run, rivals_of(run, bench), f"{prefix}rivals"))
    return [title, *html.figures(drawings)] if any(drawings) else []


def _front(run: RunSource) -> str:
    columns = (
        ("size", "number"), ("training τ", "number"), ("validation τ", "number"),
        ("generation", "number"), ("formula", "text"), ("expression", "code"),
    )  # fmt: skip
    rows = [
        [
            str(row.size), _number(row.training_tau), _number(row.validation_tau),
            str(row.generation), _signed(run, row.expression, row.sign), row.expression,
        ]
        for row in run.front
    ]  # fmt: skip
    chosen = [place for place, row in enumerate(run.front) if row.id == run.chosen.id]
    return html.table(columns, rows, marked=chosen)


def _signed(run: RunSource, expression: str, sign: int | None) -> str:
    formula = run.formulas(expression)
    return f"−({formula})" if sign == -1 else formula


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")
