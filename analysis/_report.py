"""One page about a run."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis._agreement import agreement
from analysis._bit_plot import plot_bits
from analysis._command import styled
from analysis._formulas import Formulas
from analysis._page import inline_svg, page, table
from analysis._run_data import (
    TEST,
    bench_of,
    best_individual,
    meta_or,
    oriented_table,
    pareto_front,
)
from analysis._style import svg_text
from analysis.convergence import plot_convergence
from analysis.correlation import plot_correlation
from analysis.genealogy import plot_genealogy
from gp_emq.files import atomic_write_text
from gp_emq.store import IndividualRow, RunStore

_SECTIONS = (
    ("convergence", "How the search went", plot_convergence),
    ("correlation", "How well the formula ranks", plot_correlation),
    ("genealogy", "Where the formula comes from", plot_genealogy),
    ("bits", "The bits it would give each layer", plot_bits),
)


def write_report(store: RunStore, path: Path) -> Path:
    """Write a self-contained HTML page about a run.

    Args:
        store: of the run.
        path: of the page; its folder is made if it is missing.

    Returns:
        The path.

    Raises:
        RunError: nothing has been evaluated yet, or the page cannot be written.
    """
    text = report_page(store)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, text)
    return path


def report_page(store: RunStore) -> str:
    """The HTML page about a run."""
    bench = bench_of(store)
    best = best_individual(store)
    formulas = Formulas(store)
    generations = store.generations()
    config: Mapping[str, Any] = meta_or(store, "config", {})
    title = f"A proxy for {bench.name}"
    facts = (
        f"Run {store.folder.name}: {len(generations) - 1} generations, "
        f"{generations[-1].evaluations:,} evaluations, primitive set "
        f"{config.get('primitives', '?')}, seed {config.get('seed', '?')}, "
        f"{meta_or(store, 'created', '')}"
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="facts">{escape(facts)}</p>',
        f'<p class="formula">{escape(formulas(best.expression))}</p>',
        *_summary(store, best),
        *_front(pareto_front(store), best, formulas),
    ]
    for name, heading, plot in _SECTIONS:
        body.append(f"<h2>{escape(heading)}</h2>")
        body.append(inline_svg(_drawn(plot, store), name, heading))
    return page(title, [*body, *_provenance(store)])


def _drawn(plot: Any, store: RunStore) -> str:
    figure: Figure = styled(plot, store)
    return svg_text(figure)


def _summary(store: RunStore, best: IndividualRow) -> list[str]:
    summary: Mapping[str, Any] | None = meta_or(store, "summary", None)
    heading = "<h2>Kendall τ with measured accuracy</h2>"
    if summary is None:
        bench = bench_of(store)
        test = bench.part(TEST)
        scores = bench.scores(oriented_table(best, bench, store.folder))
        found = agreement(scores[test], bench.accuracies[test])
        rows: Sequence[Mapping[str, Any]] = [
            {
                "name": "best formula so far",
                "training": best.training_tau,
                "validation": best.validation_tau,
                "test": None if found.undefined else found.tau,
                "low": None if found.undefined else found.low,
                "high": None if found.undefined else found.high,
                "size": best.size,
            }
        ]
        note = "The run has not finished: these are the numbers of its last completed generation."
    else:
        rows = summary["rows"]
        note = (
            f"Test: {summary['test_configurations']} configurations that the search never saw, "
            f"with 95 % intervals. Protocol: {summary['protocol']}."
        )
        reasons: Mapping[str, str] = summary.get("undefined", {})
        note = " ".join([note, *(f"–: {reason}." for reason in reasons.values())])
    columns = (
        ("proxy", "text"), ("training", "number"), ("validation", "number"), ("test", "number"),
        ("95 % interval", "number"), ("size", "number"),
    )  # fmt: skip
    cells = [
        [
            str(row["name"]), _number(row.get("training")), _number(row.get("validation")),
            _number(row.get("test")), _interval(row), _whole(row.get("size")),
        ]
        for row in rows
    ]  # fmt: skip
    return [heading, table(columns, cells, mark_first=True), f'<p class="facts">{escape(note)}</p>']


def _front(front: Sequence[IndividualRow], best: IndividualRow, formulas: Formulas) -> list[str]:
    columns = (
        ("size", "number"), ("training", "number"), ("validation", "number"),
        ("generation", "number"), ("formula", "code"), ("expression", "code"),
    )  # fmt: skip
    rows = [
        [
            f"{row.size}{' ★' if row.id == best.id else ''}", _number(row.training_tau),
            _number(row.validation_tau), str(row.generation), formulas(row.expression),
            row.expression,
        ]
        for row in front
    ]  # fmt: skip
    note = "No smaller formula ranks better. ★ marks the one recommended."
    return [
        "<h2>The best formula of each size</h2>",
        table(columns, rows),
        f'<p class="facts">{escape(note)}</p>',
    ]


def _provenance(store: RunStore) -> list[str]:
    columns = (("what", "text"), ("value", "code"))
    keys = [key for key in store.meta_keys() if key not in {"summary", "entry_names"}]
    rows = [[key, json.dumps(store.meta(key), ensure_ascii=False)] for key in keys]
    return ["<h2>Provenance</h2>", table(columns, rows)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _interval(row: Mapping[str, Any]) -> str:
    if row.get("low") is None or row.get("high") is None:
        return "–"
    return f"{row['low']:.3f} to {row['high']:.3f}"
