"""Compare the table's plans with measured ones on test images: ``python -m benchmarks.measured``.

Every plan is really quantized. What is measured is kept in the cache, and what is finished in the
file of rows, so that a killed call goes on from there.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.measured_rows import (
    CALIBRATED,
    MEASURED,
    PAIRS,
    START,
    UNIFORM,
    Interval,
    Row,
    Rows,
    Together,
    Way,
)
from benchmarks.measured_table import table_of
from benchmarks.plan_studies import HELD_BACK, STUDIES, Study
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
from gp_emq.measured import REACHES
from gp_emq.measured._calibration import calibrate
from gp_emq.measured._contest import contest
from gp_emq.measured._interactions import interact
from gp_emq.measured._network import MeasuringSettings, PlanNetwork
from gp_emq.measured._search import SearchSettings, confirmed, search
from gp_emq.networks import Inputs, Network, load_inputs
from gp_emq.networks.zoo import part_of
from gp_emq.options import OptionParser, not_negative, positive, share
from gp_emq.outputs import OutputFile
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import change, measured
from gp_emq.quantization import WeightQuantizer, batch_norms
from gp_emq.statistics import collect_statistics, default_cache

NETWORKS = (
    "plain-digits", "mixer-digits", "unnormed-digits", "grouped-digits",
    "excite-digits", "wide-digits", "shuffled-digits", "axial-digits",
    "transformer-digits", "modern-digits", "dense-digits",
    "inverted-digits", "hourglass-digits", "pooling-digits", "token-digits",
    "recurrent-digits", "latent-digits", "dilated-digits", "multiscale-digits",
    "excite-cifar10", "wide-cifar10", "transformer-cifar10", "modern-cifar10", "dense-cifar10",
)  # fmt: skip
"""Of the search and validation, by which the rules were chosen, and test networks."""
LARGE = tuple(study.network for study in STUDIES if study.held_back < HELD_BACK)
"""Networks of ImageNet, with the widths, images and methods of the comparison of plans."""
SHARES = (0.25, 0.5, 0.75)
"""Sizes: 0 for all layers at the least width, 1 for all at the widest."""
BITS = (2, 3, 4)
CALIBRATION = 256

FloatArray = NDArray[np.float64]


class MeasuredStudy:
    """One network with what measures its plans."""

    def __init__(self, name: str, options: argparse.Namespace, *, cache: Path | None) -> None:
        self.options = options
        self.inputs: Inputs = load_inputs(name)
        network = self.inputs.network
        study = _study_of(name, network)
        (self.method,), self.bits = study.methods, study.bits
        self.space = search_space(network.layers, study.bits)
        divided = self.inputs.divided(
            study.calibration, options.tests, options.seed, seen=study.seen
        )
        self.groups, self.images = divided.groups, len(divided.test)
        settings = MeasuringSettings(self.method)
        held_back = self.inputs.held_back(study.calibration, study.held_back, options.seed)
        self.search = PlanNetwork(divided.calibration, held_back, self.space, settings, cache=cache)
        self.test = PlanNetwork(
            divided.calibration, divided.test, self.space, settings, cache=cache
        )
        statistics = collect_statistics(
            divided.calibration, bits=study.bits, quantizer=WeightQuantizer(per_channel=True),
            layers=network.layers, cache=cache,
        )  # fmt: skip
        self.tables = {
            name: load_proxy(name).table(statistics, cache=cache) for name in options.proxy
        }

    def row(self, share: float) -> Row:
        """Plan in all ways at one size, and measure the plans on the test images."""
        begun = time.process_time()
        problem, start = self.raced(share)
        best, searched = self._searched(problem, start)
        fitted = calibrate(
            problem, start, self.search, plans=self.options.calibrate, seed=self.options.seed
        )
        seconds = time.process_time() - begun
        plans = {START: start, MEASURED: best, CALIBRATED: fitted.best}
        together = self._together(problem, start, plans)
        uniform = _uniform(problem, self.bits)
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
            ways={name: self.way(plan, start) for name, plan in plans.items()},
            kept=best != start,
            calibrated_kept=fitted.best != start,
            plans=searched,
            tau=_interval(fitted.tau),
            table_tau=_interval(fitted.table_tau),
            seconds=seconds,
            together=together,
        )

    def _searched(self, problem: Problem, start: Configuration) -> tuple[Configuration, int]:
        """Search for a better plan, from each that is found anew where that is asked for.

        Returns:
            The plan that is kept, and how many were measured; one in two searches counts twice.
        """
        tried, plans, left = start, 0, float(self.options.measure)
        for seed in itertools.count(self.options.seed):
            settings = SearchSettings(int(left), seed=seed)
            found = search(problem, tried, self.search, settings)
            tried, plans, left = found.tried, plans + found.plans, left - found.measurements
            if left < 1 or not self.options.again:
                break
        return confirmed(self.search, start, tried)[0], plans

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

    def raced(self, share: float) -> tuple[Problem, Configuration]:
        """Plan by every proxy, and go on with the one whose plan wins the race."""
        meter, entries = Meter(self.space, CostSettings()), len(self.space.widths)
        least, most = (
            meter.measure((width,) * entries).size_mib for width in (self.bits[0], self.bits[-1])
        )
        size = least + share * (most - least)
        budgets = make_budgets(self.space, CostSettings(), size_mib=size)
        problems = {
            name: Problem.of(table, self.space, budgets) for name, table in self.tables.items()
        }
        plans = {}
        for name, problem in problems.items():
            choice = problem.best()
            assert choice is not None  # noqa: S101 - the least widths fit every size
            plans[name] = choice.configuration
        winner = contest(plans, self.search).winner
        return problems[winner], plans[winner]

    def way(self, plan: Configuration, start: Configuration) -> Way:
        """Measure a plan on the test images, beside the one that was started from."""
        found, other = (self.test.answers(of, self.images) for of in (plan, start))
        right, before = (of.values.astype(np.bool_) for of in (found, other))
        return Way(
            _interval(measured(right, self.groups)),
            _interval(change(before, right, self.groups)),
            _interval(measured(found.losses, self.groups)),
            _interval(change(other.losses, found.losses, self.groups)),
        )


def _study_of(name: str, network: Network) -> Study:
    """Give widths, images and the one method by which a network's plans are measured."""
    if name in LARGE:
        study = next(study for study in STUDIES if study.network == name)
        return replace(study, methods=study.methods[-1:])
    method = "rtn+bn" if batch_norms(network.model) else "rtn"
    return Study(name, BITS, SHARES, (method,), CALIBRATION, HELD_BACK)


def _uniform(problem: Problem, bits: Sequence[int]) -> Configuration | None:
    for width in reversed(bits):
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
    wanted = [(name, size) for name in options.only for size in options.sizes]
    study: MeasuredStudy | None = None
    for name, size in tqdm(
        wanted, unit="size", file=sys.stderr, leave=False, disable=not sys.stderr.isatty()
    ):
        if (name, size) in rows.known:
            continue
        if study is None or study.inputs.network.name != name:
            study = MeasuredStudy(name, options, cache=default_cache())
        rows.add(study.row(size))
    sys.stdout.write("\n".join(table_of([rows.known[key] for key in wanted])) + "\n")
    return 0


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
        "--only", nargs="+", choices=NETWORKS + LARGE, default=NETWORKS, metavar="NETWORK",
        help=f"of {', '.join(NETWORKS)} (default: all of these), {', '.join(LARGE)}",
    )  # fmt: skip
    parser.add_argument(
        "--proxy", nargs="+", default=["fit"], metavar="PROXY",
        help="what plans at the start; of several, what wins a race (default: fit)",
    )  # fmt: skip
    parser.add_argument(
        "--sizes", nargs="+", type=share, default=SHARES, metavar="SHARE",
        help="0 for all layers at the least width, 1 for all at the widest (default: three)",
    )  # fmt: skip
    parser.add_argument("--measure", type=positive, default=100, metavar="N", help="default: 100")
    parser.add_argument(
        "--again", action="store_true",
        help="search on from the plan that was found, with other draws, as long as measurements "
        "of --measure are left: a search ends where it can propose nothing new",
    )  # fmt: skip
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
