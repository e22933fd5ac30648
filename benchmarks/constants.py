"""What fitting the constants of formulas brings: on the networks they are fitted on, and on others.

    python -m benchmarks.constants --formulas gp-views --bench plain-digits-rtn-channel \
        mixer-digits-rtn-channel --validate-on excite-digits-rtn-bn-channel wide-digits-rtn-channel

The constants are fitted as `gp_emq.run --fit-constants` fits them, on the training configurations
of the benches of the search, by Kendall tau at equal cost. Two questions are asked of each formula.
By how much is it better with them on networks of validation? And by how much on each network of the
search, where they are fitted on all others? Means and 95 % intervals are paired, by networks.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from gp_emq.command import run_command
from gp_emq.errors import GpEmqError
from gp_emq.evolution import Individual, Measurement, Outcome, Tables
from gp_emq.evolution._judging import judged
from gp_emq.experiment import RunConfiguration
from gp_emq.experiment._fitting import Fitting
from gp_emq.experiment._setting import Setting, load_setting
from gp_emq.experiment._validation import ValidationNetworks
from gp_emq.farm import FarmSettings
from gp_emq.objectives import MeanObjective
from gp_emq.options import OptionParser
from gp_emq.proxies import Evaluator, parse_expression, to_formula
from gp_emq.proxies.loading import load_proxy
from gp_emq.statistics import Statistics
from gp_emq.store import IndividualRow


@dataclass(frozen=True)
class Gain:
    """By how much a formula is better with constants, by networks."""

    differences: tuple[float, ...]

    def __str__(self) -> str:
        values = np.array(self.differences)
        mean = float(values.mean())
        if len(values) < 2:
            return f"{mean:+.4f}"
        reach = float(values.std(ddof=1) / np.sqrt(len(values)))
        reach *= float(stats.t.ppf(0.975, len(values) - 1))
        return f"{mean:+.4f} [{mean - reach:+.4f}, {mean + reach:+.4f}]"


class Study:
    """Fits formulas on all networks of a search, or on all but one.

    Args:
        setting: Of the search.
        statistics: Of the network of each of its benches.
    """

    def __init__(self, setting: Setting, statistics: Sequence[Statistics]) -> None:
        self._setting = setting
        # Benches of one network share their statistics, and then their tables.
        folders = {one.folder: one for one in statistics}
        self._evaluators = {
            folder: Evaluator(setting.primitive_set, one) for folder, one in folders.items()
        }
        self._folders = [one.folder for one in statistics]
        self._tables: dict[str, Outcome] = {}
        self.networks = tuple(dict.fromkeys(bench.network for bench in setting.benches))

    def outcome(self, expression: str) -> Outcome:
        """Give the tables of an expression on all networks; they are kept."""
        if expression not in self._tables:
            tree = parse_expression(expression, self._setting.primitive_set)
            found = {folder: judged(one.table(tree)) for folder, one in self._evaluators.items()}
            reasons = [one for one in found.values() if isinstance(one, str)]
            tables = [found[folder] for folder in self._folders]
            self._tables[expression] = (
                Outcome((), reasons[0], 0.0)
                if reasons
                else Outcome(tuple(one for one in tables if not isinstance(one, str)), None, 0.0)
            )
        return self._tables[expression]

    def individual(self, expression: str, places: Sequence[int]) -> Individual:
        """Give a formula as a search on some of the benches would have found it."""
        tree = parse_expression(expression, self._setting.primitive_set)
        (measurement,) = self._objective(places).measure([self._cut(expression, places)])
        row = IndividualRow(
            id=0, generation=0, place=0, attempt=0, operator="seed", parents=(),
            expression=expression, canonical=expression, size=len(tree), depth=tree.height,
        )  # fmt: skip
        return Individual(list(tree), row, measurement)

    def fitted(self, expression: str, left_out: str | None = None) -> Individual:
        """Fit the constants of a formula; it itself where none helps."""
        places = [p for p, one in enumerate(self._setting.benches) if one.network != left_out]

        def evaluate(texts: list[str]) -> list[Outcome]:
            found = [(text, self.outcome(text)) for text in texts]
            return [
                replace(one, tables=self._cut(text, places)) if one.tables else one
                for text, one in found
            ]

        start = self.individual(expression, places)
        fit = Fitting(self._setting.primitive_set, self._objective(places), evaluate).fit(start)
        return start if fit is None else fit.individual

    def training(self, expression: str, network: str | None = None) -> float:
        """Give the mean tau of a formula on the training configurations of one network, or all.

        It is oriented as on all networks.
        """
        whole = self._measured(expression)
        taus = [
            training
            for bench, (training, _) in zip(self._setting.benches, whole.by_network, strict=True)
            if network in (None, bench.network)
        ]
        return float(np.mean(taus))

    def _measured(self, expression: str) -> Measurement:
        (found,) = self._setting.objective.measure([self.outcome(expression).tables])
        return found

    def _objective(self, places: Sequence[int]) -> MeanObjective:
        return MeanObjective([self._setting.parts[place] for place in places])

    def _cut(self, expression: str, places: Sequence[int]) -> Tables:
        tables = self.outcome(expression).tables
        return tuple(tables[place] for place in places)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study and print a row for each formula."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    configuration = RunConfiguration(
        bench=options.bench[0],
        more_benches=tuple(options.bench[1:]),
        validate_on=tuple(options.validate_on),
        primitives=options.primitives,
        fitness="equal-cost",
    )
    setting = load_setting(configuration)
    validation = ValidationNetworks.load(configuration, setting.benches, lambda: None)
    networks = setting.collect(FarmSettings(jobs=1))
    setting = setting.measured_on(networks)
    study = Study(setting, networks)
    for name in options.formulas:
        _report(name, study, setting, validation, folds=not options.no_folds)
    return 0


def _report(
    name: str, study: Study, setting: Setting, validation: ValidationNetworks, *, folds: bool
) -> None:
    expression = load_proxy(name).expression
    outcome = study.outcome(expression)
    if not outcome.tables:
        raise GpEmqError(f"{name} has no table on the benches of the search: {outcome.reason}")
    everything = range(len(setting.benches))
    before = study.individual(expression, everything)
    after = study.fitted(expression)
    print(f"{name}: {to_formula(after, setting.primitive_set)}", flush=True)
    print(f"  {after.expression}")
    print(f"  search: {before.tau:.4f} to {after.tau:.4f} with {_constants(after)} constants")
    old, new = validation.judge([before, after], setting.primitive_set)
    if old.taus is not None and new.taus is not None:
        own = np.array(validation.network_names)
        gains = np.subtract(new.taus, old.taus)
        gain = Gain(tuple(float(gains[own == one].mean()) for one in dict.fromkeys(own)))
        print(f"  validation: {old.mean:.4f} to {new.mean:.4f}, {gain}", flush=True)
    if folds:
        found = []
        for network in study.networks:
            other = study.fitted(expression, network).expression
            found.append(study.training(other, network) - study.training(expression, network))
        print(f"  search, each network by the others: {Gain(tuple(found))}", flush=True)


def _constants(individual: Individual) -> int:
    return sum(node.name[0].isdigit() for node in individual)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = OptionParser(
        prog="python -m benchmarks.constants", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--bench", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--validate-on", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--formulas", nargs="+", required=True, metavar="NAME|EXPRESSION")
    parser.add_argument("--primitives", default="measured_tables", metavar="NAME")
    parser.add_argument("--no-folds", action="store_true", help="leave no network out")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
