"""Rankings as text: table, Markdown, CSV, JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gp_emq.columns import wrapped
from gp_emq.correlation import Figure
from gp_emq.networks import TOP_1
from gp_emq.ranking._layout import Cells, as_markdown, fitted, in_blocks
from gp_emq.ranking._matrix import MatrixRow, matrix
from gp_emq.ranking._measures import AT_EQUAL_SIZE, KENDALL, TITLES
from gp_emq.ranking._rank import Ranking, Row
from gp_emq.ranking._records import (
    Record,
    matrix_record,
    ranking_record,
    row_record,
    spread_record,
)
from gp_emq.ranking._spread import Spread

LEGEND = (
    "* best hand-crafted; + better and - worse than it beyond chance, = not to be told apart "
    "(paired bootstrap, corrected for its having been picked as the best)"
)


_CALIBRATION = "tau, other calibration"
_MIDDLE_BUDGET = "regret 50%"
_BY_WEIGHT = (
    TITLES[KENDALL], _CALIBRATION, TITLES[AT_EQUAL_SIZE], _MIDDLE_BUDGET, TITLES["spearman"],
    TITLES["kendall_given_size"], TITLES["kendall_given_bits"], TITLES["pearson"],
)  # fmt: skip
"""Columns, what matters most first; the others come after them in the order of the table."""


def format_rankings(rankings: Sequence[Ranking], style: str, width: int | None = None) -> str:
    """Write rankings of one bench or several.

    Args:
        rankings: One per bench, of the same proxies.
        style: One of `FORMATS`.
        width: Columns that lines of a table may have, at the price of columns that matter less;
            None for all columns. Other formats have everything.
    """
    benches = [ranking.bench for ranking in rankings]
    if style == "json":
        document: Record = {"rankings": [ranking_record(ranking) for ranking in rankings]}
        if len(rankings) > 1:
            document["matrix"] = [matrix_record(benches, row) for row in matrix(rankings)]
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if style == "csv":
        return _csv([row_record(ranking, row) for ranking in rankings for row in ranking.rows])
    page = _Page(style, width)
    if len(rankings) == 1:
        return _one_bench(rankings[0], page)
    return _matrix(rankings, matrix(rankings), page)


def format_spreads(
    benches: Sequence[str],
    spreads: Sequence[Sequence[Spread]],
    title: str,
    style: str,
    width: int | None = None,
) -> str:
    """Write how the published procedure spreads.

    Args:
        benches: Names of the benches.
        spreads: The spreads on each.
        title: What was done, one line.
        style: One of `FORMATS`.
        width: As for `format_rankings`.
    """
    records = [
        spread_record(bench, spread)
        for bench, group in zip(benches, spreads, strict=True)
        for spread in group
    ]
    if style == "json":
        document = {"procedure": title, "proxies": records}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if style == "csv":
        return _csv(records)
    page = _Page(style, width)
    lines = [*page.text(title), ""]
    for bench, group in zip(benches, spreads, strict=True):
        header = ["proxy", *TITLES.values()]
        rows = [
            [spread.proxy.name, *(_cell(spread.figures.get(name)) for name in TITLES)]
            for spread in group
        ]
        lines += [bench, "", *page.table(Cells(header, rows, fixed=1)), ""]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Page:
    """Where tables and lines go: how they are written, and how wide they may be."""

    style: str
    width: int | None

    @property
    def limit(self) -> int | None:
        return None if self.style == "markdown" else self.width

    def text(self, line: str) -> list[str]:
        return wrapped(line, self.limit)

    def table(self, cells: Cells) -> list[str]:
        """Lay out a table, with a line below it that says what it lacks."""
        if self.style == "markdown":
            return as_markdown(cells)
        lines, left_out = fitted(cells, self.limit, _by_weight(cells))
        if not left_out:
            return lines
        what = "column is" if left_out == 1 else "columns are"
        note = f"{left_out} {what} left out to fit {self.limit}: --wide, csv and json have all"
        return [*lines, "", *self.text(note)]


def _by_weight(cells: Cells) -> list[int]:
    """Give the places of columns that are not fixed, what matters most first."""

    def weight(place: int) -> tuple[int, int]:
        name = cells.header[place]
        return (_BY_WEIGHT.index(name) if name in _BY_WEIGHT else len(_BY_WEIGHT)), place

    return sorted(range(cells.fixed, len(cells.header)), key=weight)


def _one_bench(ranking: Ranking, page: _Page) -> str:
    calibrated = any(row.calibration for row in ranking.rows)
    header = ["", "proxy", *TITLES.values()]
    header += [f"regret {budget.share:.0%}" for budget in ranking.budgets]
    header += [_CALIBRATION] if calibrated else []
    header += ["collect s", "score s"]
    rows = [_row_cells(ranking, row, calibrated=calibrated) for row in ranking.rows]
    budgets = ", ".join(f"{b.share:.0%} = {b.size:.4g} MiB" for b in ranking.budgets)
    below = [
        LEGEND,
        f"regret: {_lost(ranking)} lost within a budget on model size; {budgets}",
        *(f"{row.proxy.name}: {row.scored.note}" for row in ranking.rows if row.scored.note),
    ]
    table = "\n".join(page.table(Cells(header, rows, fixed=2)))
    between = "\n\n" if page.style == "markdown" else "\n"

    def block(lines: Sequence[str]) -> str:
        return between.join(part for line in lines for part in page.text(line))

    blocks = [block(_heading(ranking)), table, block(below)]
    return "\n\n".join(blocks) + "\n"


def _lost(ranking: Ranking) -> str:
    """Say what of the metric is lost: of a share points, of any other metric what it is."""
    return "points of accuracy" if ranking.metric == TOP_1.name else ranking.metric


def _heading(ranking: Ranking) -> list[str]:
    quality, options = ranking.quality, ranking.options
    known = quality.reliability is not None
    reliability = f", reliability {_number(quality.reliability)}" if known else ""
    reasons: dict[str, None] = dict.fromkeys(quality.undefined.values())
    split = "" if options.split == "all" else f"{options.split} "
    what = (
        f"bench {ranking.bench} ({ranking.network}, protocol {ranking.protocol}), "
        f"{len(ranking.chosen)} {split}configurations, {options.form} forms, "
        f"95 % intervals from {options.resamples} bootstrap resamples"
    )
    ceilings = (
        f"ceilings of tau: noise {_number(quality.noise_ceiling)}{reliability}; additive table "
        f"fitted on the training part {_number(quality.additive_ceiling)} (on the test part)"
    )
    reasons |= {f"{TITLES[name]}: {reason}": None for name, reason in ranking.undefined.items()}
    return [what, ceilings, *(f"–: {reason}" for reason in reasons)]


def _row_cells(ranking: Ranking, row: Row, *, calibrated: bool) -> list[str]:
    cells = [row.mark.value, row.proxy.name]
    cells += ["–" if name in ranking.undefined else _cell(row.figures.get(name)) for name in TITLES]
    shown = "{:.4g}".format if ranking.metric != TOP_1.name else lambda value: f"{100 * value:.2f}"
    cells += [shown(value) for value in row.regrets] or [""] * len(ranking.budgets)
    if calibrated:
        values = [value for value in row.calibration if math.isfinite(value)]
        cells.append(f"{min(values):.3f} to {max(values):.3f}" if values else "")
    return [
        *cells,
        f"{row.scored.statistics_seconds:.2f}",
        f"{row.scored.scoring_seconds:.3f}",
    ]


def _matrix(rankings: Sequence[Ranking], rows: Sequence[MatrixRow], page: _Page) -> str:
    header = ["proxy", "mean rank", *(ranking.bench for ranking in rankings)]
    cells = [
        [row.name, f"{row.mean_rank:.1f}", *(_cell(figure) for figure in row.figures)]
        for row in rows
    ]
    cells.append(["noise ceiling", "", *(_number(r.quality.noise_ceiling) for r in rankings)])
    cells.append(["additive ceiling", "", *(_number(r.quality.additive_ceiling) for r in rankings)])
    counts = ", ".join(f"{ranking.bench} {len(ranking.chosen)}" for ranking in rankings)
    split = rankings[0].options.split
    title = f"{TITLES[KENDALL]} with 95 % intervals, {split} configurations: {counts}"
    table = Cells(header, cells, fixed=1)
    if page.style == "markdown":
        return "\n".join([title, "", *as_markdown(table), ""])
    blocks = in_blocks(table, page.limit, once=1)
    lines = [*page.text(title), "", *"\n\n".join(map("\n".join, blocks)).split("\n")]
    if len(blocks) > 1:
        note = f"{len(blocks)} blocks to fit {page.limit} columns: --wide sets them side by side"
        lines += ["", *page.text(note)]
    return "\n".join([*lines, ""])


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _cell(figure: Figure | None) -> str:
    if figure is None or not math.isfinite(figure.value):
        return ""
    return f"{figure.value:.3f} [{figure.low:.2f}, {figure.high:.2f}]"


def _csv(records: Sequence[Record]) -> str:
    names = list(dict.fromkeys(name for record in records for name in record))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()
