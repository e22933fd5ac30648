"""Several runs side by side: what differs, what each found, and how each went."""

from collections.abc import Sequence
from html import escape

from analysis.reporting import _drawing as look
from analysis.reporting import _page as html
from analysis.reporting._agreements import Agreement
from analysis.reporting._course import colour_of, draw_courses
from analysis.reporting._drawing import Drawing, axis
from analysis.reporting._explained import explain
from analysis.reporting._facts import differing_settings
from analysis.reporting._front import draw_fronts
from analysis.reporting._intervals import intervals
from analysis.reporting._screening import draw_screenings
from analysis.reporting._source import RunSource
from analysis.reporting._times import duration


def comparison(runs: Sequence[RunSource], found: Sequence[Sequence[Agreement]]) -> list[str]:
    """What a report says of several runs together.

    Args:
        runs: at least two.
        found: for each how its formula ranks its benches.
    """
    parts = [html.heading(2, "What differs"), _settings(runs)]
    parts += [html.heading(2, "What each found"), _formulas(runs)]
    drawing = _tests(runs, found)
    if drawing is not None:
        parts += [*html.figures([drawing]), _taus(runs, found)]
    parts.append(html.heading(2, "How each went"))
    parts += html.figures(
        [
            draw_courses(runs, "courses"),
            draw_fronts(runs, "fronts"),
            draw_screenings(runs, "screenings"),
        ]
    )
    return parts


def _settings(runs: Sequence[RunSource]) -> str:
    differing = differing_settings(runs)
    columns = [("run", "text"), *((name, "text") for name in differing)]
    columns += [("generations", "number"), ("evaluations", "number"), ("time", "number")]
    rows = []
    for place, run in enumerate(runs):
        last = run.search.generations[-1]
        rows.append(
            [
                run.label, *(values[place] for values in differing.values()),
                str(last.generation), f"{last.evaluations:,}", duration(run.search.seconds),
            ]
        )  # fmt: skip
    return html.table(columns, rows)


def _formulas(runs: Sequence[RunSource]) -> str:
    rows = []
    for run in runs:
        found = explain(run)
        shown = found.mathml.replace(' display="block"', "") or escape(found.text)
        state = "" if run.summary is not None else " (not finished)"
        rows.append(
            f'<tr><th scope="row">{escape(run.label + state)}</th>'
            f'<td class="number">{run.chosen.size}</td><td>{shown}</td></tr>'
        )
    head = '<tr><th scope="col">run</th><th scope="col" class="number">size</th>'
    head += '<th scope="col">formula</th></tr>'
    body = "\n".join(rows)
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _tests(runs: Sequence[RunSource], found: Sequence[Sequence[Agreement]]) -> Drawing | None:
    """Draw every run's tau on the test configurations of each bench; None where no run has one."""
    benches = list(dict.fromkeys(one.bench for agreements in found for one in agreements))
    several = len(benches) > 1
    traces, values = [], []
    for place, (run, agreements) in enumerate(zip(runs, found, strict=True)):
        tests = [one for one in agreements if one.split == "test"]
        values += [(one.overall.value, run.label) for one in tests if one.overall.known]
        label = look.plain(run.label, 34)
        names = [f"{look.plain(one.bench, 24)}, {label}" if several else label for one in tests]
        traces.append(
            {
                **intervals(label, names, [one.overall for one in tests], colour_of(place),
                            "circle"),
                "legendgroup": str(place), "showlegend": False,
            }
        )  # fmt: skip
        equal = intervals(
            label, names, [one.equal_cost for one in tests], colour_of(place), "diamond-open"
        )
        del equal["error_x"]
        traces.append({**equal, "showlegend": False})
    if not values:
        return None
    order = sorted({name for trace in traces for name in trace["y"]}, key=lambda name: (
        [benches.index(b) for b in benches if name.startswith(look.plain(b, 24))][:1] if several
        else [], [look.plain(run.label, 34) for run in runs].index(name.rpartition(", ")[2])
    ))  # fmt: skip
    best, label = max(values)
    title = (
        f"{label} has the highest test τ on a bench, {best:.3f}"
        if several
        else f"{label} has the highest test τ, {best:.3f}"
    )
    note = (
        "Kendall τ of each run's formula on the test configurations with bootstrap 95 % intervals; "
        "open diamonds are τ over pairs of equal cost."
    )
    height = 110 + 30 * len(order)
    return Drawing(
        "tests", title, note, [trace for trace in traces if trace["x"]],
        {
            "xaxis": axis("test τ"),
            "yaxis": axis(categoryorder="array", categoryarray=order[::-1]),
        },
        height, height,
    )  # fmt: skip


def _taus(runs: Sequence[RunSource], found: Sequence[Sequence[Agreement]]) -> str:
    columns = (
        ("run", "text"), ("bench", "text"), ("training τ", "number"), ("validation τ", "number"),
        ("test τ", "number"), ("test τ at equal cost", "number"),
    )  # fmt: skip
    rows = []
    for run, agreements in zip(runs, found, strict=True):
        for bench in run.benches:
            by_split = {one.split: one for one in agreements if one.bench == bench.name}
            rows.append(
                [
                    run.label, bench.name,
                    *(str(by_split[split].overall) for split in ("training", "validation", "test")),
                    str(by_split["test"].equal_cost),
                ]
            )  # fmt: skip
    return html.table(columns, rows)
