"""How far a search of plans is from the best there is: ``python -m benchmarks.every_plan``.

Every plan within the budget that differs from the search's in at most some layers races on the
images that the search chose by, and the winner is kept by the search's rule. Both plans are then
compared on test images. Where all layers may differ, that is every plan there is.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from tqdm import tqdm

from benchmarks.kept_lines import KeptLines
from benchmarks.measured import NETWORKS, MeasuredStudy
from benchmarks.measured_rows import Interval, Way
from gp_emq.allocation import Configuration, Problem
from gp_emq.command import run_command
from gp_emq.errors import RunError
from gp_emq.files import decode_document
from gp_emq.measured._race import race
from gp_emq.measured._search import SearchSettings, confirmed, halves, search
from gp_emq.networks.zoo import part_of
from gp_emq.options import OptionParser, not_negative, positive, share
from gp_emq.outputs import OutputFile

SMALL = ("plain-digits", "wide-digits")
"""Networks of eight layers, whose plans can all be measured; of the search and of validation."""
SHARES = (0.25, 0.5, 0.75)
MOST = 20_000
"""Plans to measure at most, before those beyond the budget are left out."""


@dataclass(frozen=True)
class Row:
    """One network at one size.

    Attributes:
        network: Its name.
        share: The size, as in `benchmarks.measured`.
        measure: Measurements of the search.
        layers: In how many entries a plan may differ from the search's.
        seed: Of the search.
        searched: How many plans the search measured.
        plans: How many plans within the budget there are.
        start: Accuracy of the plan that the search starts from.
        found: The search's plan, and its change from the start.
        best: The best of all plans, likewise.
        beyond: Change from the search's plan to the best of all.
    """

    network: str
    share: float
    measure: int
    layers: int
    seed: int
    searched: int
    plans: int
    start: Interval
    found: Way
    best: Way
    beyond: Way

    @property
    def key(self) -> tuple[str, float, int, int, int]:
        """What decides it."""
        return self.network, self.share, self.measure, self.layers, self.seed


def near(problem: Problem, plan: Configuration, layers: int) -> Iterator[Configuration]:
    """Give all plans within the budgets that differ from one in a few entries, that one first.

    Args:
        problem: What may be chosen, within which budgets.
        plan: The plan.
        layers: In how many entries at most.

    Raises:
        RunError: There are more than `MOST` to look at.
    """
    widths = problem.space.widths
    others = [
        tuple(width for width in allowed if width != taken)
        for allowed, taken in zip(widths, plan, strict=True)
    ]
    sets = [
        entries
        for count in range(min(layers, len(plan)) + 1)
        for entries in itertools.combinations(range(len(plan)), count)
    ]
    there = sum(math.prod(len(others[entry]) for entry in entries) for entries in sets)
    if there > MOST:
        raise RunError(f"{there:,} plans are more than the {MOST:,} to measure: fewer --layers")
    for entries in sets:
        for chosen in itertools.product(*(others[entry] for entry in entries)):
            changed = dict(zip(entries, chosen, strict=True))
            other = tuple(changed.get(entry, width) for entry, width in enumerate(plan))
            if problem.fits(other):
                yield other


def measure(study: MeasuredStudy, size: float, options: argparse.Namespace) -> Row:
    """Search at one size, and measure every plan that is near what was found.

    Args:
        study: The network.
        size: The size.
        options: Of the command.
    """
    problem, start = study.raced(size)
    settings = SearchSettings(options.measure, seed=options.seed)
    found = search(problem, start, study.search, settings)
    plans = list(near(problem, found.tried, options.layers))
    winner = next(iter(race(study.search, plans, halves(study.search)[0])))
    best = confirmed(study.search, start, winner)[0]
    return Row(
        network=study.inputs.network.name,
        share=size,
        measure=options.measure,
        layers=options.layers,
        seed=options.seed,
        searched=found.plans,
        plans=len(plans),
        start=study.way(start, start).accuracy,
        found=study.way(found.best, start),
        best=study.way(best, start),
        beyond=study.way(best, found.best),
    )


def table_of(rows: Sequence[Row]) -> Iterator[str]:
    """Write a Markdown table."""
    yield (
        "| network | size | plans measured | changed layers | plans within the budget | "
        "top-1: start | search | best of all | loss: search | best of all | best less search |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---|---|---|"
    for row in rows:
        before = row.found.loss.value - row.found.loss_change.value
        losses = (row.found.loss_change, row.best.loss_change, row.beyond.loss_change)
        cells = [
            f"{row.network} ({part_of(row.network)})", f"{row.share:g}", f"{row.searched:,}",
            f"{row.layers}", f"{row.plans:,}",
            *(f"{100 * of.value:.2f}" for of in (row.start, row.found.accuracy, row.best.accuracy)),
            *(_relative(of, before) for of in losses),
        ]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"


def _relative(of: Interval, before: float) -> str:
    value, low, high = (100 * (part or 0.0) / before for part in (of.value, of.low, of.high))
    return f"{value:+.0f} % [{low:+.0f}, {high:+.0f}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    lines = KeptLines(options.rows, "the rows")
    known: dict[tuple[object, ...], Row] = {}
    for line in lines.found:
        with suppress(RunError):
            row = decode_document(line, Row, RunError, "a row")
            known[row.key] = row
    shown = []
    study: MeasuredStudy | None = None
    wanted = [(name, size) for name in options.only for size in options.sizes]
    for name, size in tqdm(wanted, unit="size", leave=False, disable=None):
        key = name, size, options.measure, options.layers, options.seed
        if key not in known:
            if study is None or study.inputs.network.name != name:
                study = MeasuredStudy(name, options, cache=None)
            known[key] = measure(study, size, options)
            lines.add(json.dumps(asdict(known[key])))
        shown.append(known[key])
    sys.stdout.writelines(f"{line}\n" for line in table_of(shown))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.every_plan", description=__doc__)
    parser.add_argument(
        "--rows", type=OutputFile(), required=True, metavar="FILE.jsonl",
        help="where finished rows are kept; what it has is not measured again",
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", choices=NETWORKS, default=SMALL, metavar="NETWORK",
        help=f"of {', '.join(NETWORKS)} (default: {', '.join(SMALL)})",
    )  # fmt: skip
    parser.add_argument(
        "--layers", type=positive, default=8, metavar="N",
        help="in how many layers a plan may differ from the search's (default: 8)",
    )  # fmt: skip
    parser.add_argument(
        "--sizes", nargs="+", type=share, default=SHARES, metavar="SHARE",
        help="0 for all layers at the least width, 1 for all at the widest (default: three)",
    )  # fmt: skip
    parser.add_argument(
        "--proxy", nargs="+", default=["fit"], metavar="PROXY",
        help="what plans at the start; of several, what wins a race (default: fit)",
    )  # fmt: skip
    parser.add_argument("--measure", type=positive, default=100, metavar="N", help="default: 100")
    parser.add_argument("--tests", type=positive, metavar="N", help="test images (default: all)")
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of all draws")
    return parser


if __name__ == "__main__":
    run_command(main)
