"""Compare the table's plans with measured ones on test images: ``python -m benchmarks.measured``.

Every plan is really quantized. What is measured is kept in the cache, and what is finished in the
file of rows, so that a killed call goes on from there.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.kept_lines import KeptLines
from gp_emq.allocation import (
    Configuration,
    CostSettings,
    Meter,
    Problem,
    make_budgets,
    search_space,
    uniform_configuration,
)
from gp_emq.command import run_command
from gp_emq.errors import RunError
from gp_emq.files import decode_document
from gp_emq.measured import REACHES
from gp_emq.measured._calibration import calibrate
from gp_emq.measured._interactions import interact
from gp_emq.measured._network import MeasuringSettings, PlanNetwork
from gp_emq.measured._search import SearchSettings, search
from gp_emq.networks import Inputs, load_inputs
from gp_emq.networks.zoo import part_of
from gp_emq.options import OptionParser, not_negative, positive
from gp_emq.outputs import OutputFile
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import change, measured
from gp_emq.quantization import WeightQuantizer, batch_norms
from gp_emq.statistics import collect_statistics, default_cache

NETWORKS = (
    "excite-digits", "wide-digits", "transformer-digits", "modern-digits", "dense-digits",
    "excite-cifar10", "wide-cifar10", "transformer-cifar10", "modern-cifar10", "dense-cifar10",
)  # fmt: skip
"""Validation networks, by which the rules were chosen, and test networks, of both data sets."""
SHARES = (0.25, 0.5, 0.75)
"""Sizes: 0 for all layers at the least width, 1 for all at the widest."""
BITS = (2, 3, 4)
CALIBRATION = 256
HELD_BACK = 1024
UNIFORM, START, MEASURED, CALIBRATED, PAIRS = "uniform", "start", "measured", "calibrated", "pairs"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Way:
    """What a way to plan has on the test images, and how it differs from the start."""

    accuracy: Interval
    change: Interval
    loss: Interval
    loss_change: Interval


@dataclass(frozen=True)
class Together:
    """What pairs of entries brought: plans measured, taus with and without, used, and kept."""

    measured: int
    tau: Interval
    single_tau: Interval
    used: bool
    kept: bool


@dataclass(frozen=True)
class Row:
    """One network at one size.

    Attributes:
        network: Its name.
        part: What it is for, as in the zoo's split.
        method: Recipe.
        share: The size.
        images: Test images.
        floating: The float network's accuracy.
        ways: By name of the way to plan.
        kept: Whether the measured plan was confirmed.
        calibrated_kept: Whether the corrected table's plan was.
        plans: How many plans the search measured.
        tau: Of the corrected table, each plan left out once.
        table_tau: Of the table as it was, on the same plans.
        seconds: Processor seconds of search and calibration.
        together: Of pairs of entries, where they were asked for.
    """

    network: str
    part: str
    method: str
    share: float
    images: int
    floating: Interval
    ways: dict[str, Way]
    kept: bool
    calibrated_kept: bool
    plans: int
    tau: Interval
    table_tau: Interval
    seconds: float
    together: Together | None = None


class Rows:
    """An append-only file of finished rows; a line that was cut off is made again.

    Args:
        path: The file.

    Raises:
        RunError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._lines = KeptLines(path, "the rows")
        self.known: dict[tuple[str, float], Row] = {}
        for line in self._lines.found:
            with suppress(RunError):
                row = decode_document(line, Row, RunError, "a row")
                self.known[row.network, row.share] = row

    def add(self, row: Row) -> None:
        """Append a row and see it safely on disk."""
        self._lines.add(json.dumps(asdict(row), sort_keys=True))
        self.known[row.network, row.share] = row


_COLUMNS = (
    "network", "size", "float", "uniform", "start", "measured", "calibrated", "loss, measured",
    "loss, calibrated", "tau, table → calibrated",
)  # fmt: skip


class _Study:
    """One network with what measures its plans."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.options = options
        self.inputs: Inputs = load_inputs(name)
        network = self.inputs.network
        self.method = "rtn+bn" if batch_norms(network.model) else "rtn"
        self.space = search_space(network.layers, BITS)
        divided = self.inputs.divided(CALIBRATION, options.tests, options.seed)
        self.groups, self.images = divided.groups, len(divided.test)
        settings, cache = MeasuringSettings(self.method), default_cache()
        held_back = self.inputs.held_back(CALIBRATION, HELD_BACK, options.seed)
        self.search = PlanNetwork(divided.calibration, held_back, self.space, settings, cache=cache)
        self.test = PlanNetwork(
            divided.calibration, divided.test, self.space, settings, cache=cache
        )
        statistics = collect_statistics(
            divided.calibration, bits=BITS, quantizer=WeightQuantizer(per_channel=True),
            layers=network.layers, cache=cache,
        )  # fmt: skip
        self.table = load_proxy(options.proxy).table(statistics, cache=cache)

    def row(self, share: float) -> Row:
        """Plan in all ways at one size, and measure the plans on the test images."""
        problem = self._problem(share)
        choice = problem.best()
        assert choice is not None  # noqa: S101 - the least widths fit every size
        start = choice.configuration
        begun = time.process_time()
        found = search(
            problem, start, self.search,
            SearchSettings(self.options.measure, seed=self.options.seed),
        )  # fmt: skip
        fitted = calibrate(
            problem, start, self.search, plans=self.options.calibrate, seed=self.options.seed
        )
        seconds = time.process_time() - begun
        plans = {START: start, MEASURED: found.best, CALIBRATED: fitted.best}
        together = self._together(problem, start, plans)
        uniform = _uniform(problem)
        if uniform is not None:
            plans = {UNIFORM: uniform} | plans
        before = self.test.floating().values.astype(np.bool_)
        return Row(
            network=self.inputs.network.name,
            part=part_of(self.inputs.network.name),
            method=self.method,
            share=share,
            images=self.images,
            floating=_interval(measured(before, self.groups)),
            ways={name: self._way(plan, start) for name, plan in plans.items()},
            kept=found.best != start,
            calibrated_kept=fitted.best != start,
            plans=found.plans,
            tau=_interval(fitted.tau),
            table_tau=_interval(fitted.table_tau),
            seconds=seconds,
            together=together,
        )

    def _together(
        self, problem: Problem, start: Configuration, plans: dict[str, Configuration]
    ) -> Together | None:
        """Add the plan by pairs to the plans, where that is asked for."""
        if self.options.interactions is None:
            return None
        found = interact(
            problem, start, self.search, reach=self.options.interactions, seed=self.options.seed
        )
        plans[PAIRS] = found.best
        taus = _interval(found.tau), _interval(found.single_tau)
        return Together(found.measured, *taus, found.used, found.best != start)

    def _problem(self, share: float) -> Problem:
        meter, entries = Meter(self.space, CostSettings()), len(self.space.widths)
        least, most = (meter.measure((width,) * entries).size_mib for width in (BITS[0], BITS[-1]))
        size = least + share * (most - least)
        budgets = make_budgets(self.space, CostSettings(), size_mib=size)
        return Problem.of(self.table, self.space, budgets)

    def _way(self, plan: Configuration, start: Configuration) -> Way:
        found, other = (self.test.answers(of, self.images) for of in (plan, start))
        right, before = (of.values.astype(np.bool_) for of in (found, other))
        return Way(
            _interval(measured(right, self.groups)),
            _interval(change(before, right, self.groups)),
            _interval(measured(found.losses, self.groups)),
            _interval(change(other.losses, found.losses, self.groups)),
        )


def _uniform(problem: Problem) -> Configuration | None:
    for width in reversed(BITS):
        configuration = uniform_configuration(problem, width)
        if problem.fits(configuration):
            return configuration
    return None


def _interval(of: object) -> Interval:
    value, low, high = (getattr(of, name) for name in ("value", "low", "high"))
    return Interval(value, low, high)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    rows = Rows(options.rows)
    wanted = [(name, share) for name in options.only for share in SHARES]
    study: _Study | None = None
    for name, share in tqdm(
        wanted, unit="size", file=sys.stderr, leave=False, disable=not sys.stderr.isatty()
    ):
        if (name, share) in rows.known:
            continue
        if study is None or study.inputs.network.name != name:
            study = _Study(name, options)
        rows.add(study.row(share))
    sys.stdout.write("\n".join(_table([rows.known[key] for key in wanted])) + "\n")
    return 0


def _table(rows: Sequence[Row]) -> list[str]:
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


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="python -m benchmarks.measured",
        description="Accuracy and divergence, on test images, of a table's plans as they are, "
        "with --measure, with --calibrate, and with --interactions: a Markdown table.",
    )
    parser.add_argument(
        "--rows", type=OutputFile(), required=True, metavar="FILE.jsonl",
        help="where finished rows are kept; what it has is not measured again",
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK",
        help=f"of {', '.join(NETWORKS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--proxy", default="fit", metavar="PROXY", help="default: fit")
    parser.add_argument("--measure", type=positive, default=100, metavar="N", help="default: 100")
    parser.add_argument("--calibrate", type=positive, default=16, metavar="N", help="default: 16")
    parser.add_argument(
        "--interactions", choices=REACHES,
        help="plan by terms for pairs of entries, too: of neighbours, or all",
    )  # fmt: skip
    parser.add_argument("--tests", type=positive, metavar="N", help="test images (default: all)")
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of all draws")
    return parser


if __name__ == "__main__":
    run_command(main)
