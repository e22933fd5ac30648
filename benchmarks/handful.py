"""A table that a handful of measurements corrects: ``python -m benchmarks.handful``.

On benches of networks that no formula was searched on, some configurations count as measured: what
each loses of the float network's top-1, and how sure that is by its test images. The model of
`gp_emq.allocate --calibrate` corrects the table by them, and all others are ranked. They are drawn,
or chosen from one half of the bench as those that tell the most. Beside them, on the same others,
stand the table as it was, an additive table that is fitted to nine tenths of all configurations,
and one that is fitted to the handful that was drawn, without the proxy's.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.ceilings import additive_scores, fitted_scores
from benchmarks.zoo import BENCHES, difference, kind_of
from gp_emq.allocation import Configuration, Problem, search_space
from gp_emq.command import run_command
from gp_emq.correlation import FloatArray, KendallRanker
from gp_emq.errors import BenchError
from gp_emq.files import atomic_write_text, read_document
from gp_emq.measured._model import EffectModel, Measurement
from gp_emq.mqbench import Bench, load_bench
from gp_emq.networks.zoo import part_of
from gp_emq.networks.zoo._split import TEST, VALIDATION
from gp_emq.options import OptionParser, positive
from gp_emq.outputs import OutputFile
from gp_emq.proxies.loading import load_proxy
from gp_emq.ranking import RankedBench
from gp_emq.statistics import default_cache

COUNTS = (8, 16, 32)
DRAWS = 20
DRAWN, CHOSEN, ALONE = "drawn", "chosen", "drawn, without a table"
TABLE, FITTED = "the table", "fitted"
MISFIT = 0.1
"""Share of a plan's loss that no sum says, for what is chosen to be measured."""

Found = dict[str, float]
"""Kendall tau at equal cost, by "what is measured, how many: what ranks the others"."""


@dataclass(frozen=True)
class Measured:
    """A bench whose configurations count as measured.

    Attributes:
        bench: The bench.
        problem: Its widths, with a proxy's scores.
        losses: What each configuration loses of the float network's top-1, (n,).
        known: Which images each labels rightly, (n, images).
    """

    bench: Bench
    problem: Problem
    losses: FloatArray
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, bench: Bench, problem: Problem) -> "Measured":
        """Read what is measured from a bench.

        Raises:
            BenchError: The bench does not say.
        """
        known, accuracy = bench.correctness(), bench.provenance.get("float_accuracy")
        if known is None or not isinstance(accuracy, float):
            raise BenchError(f"{bench.name}: does not say which images each configuration knows")
        return cls(bench, problem, accuracy - bench.accuracies, known)

    @cached_property
    def plans(self) -> list[Configuration]:
        """The configurations."""
        return [tuple(map(int, configuration)) for configuration in self.bench.configurations]

    @cached_property
    def scores(self) -> FloatArray:
        """What the table says of each, (n,)."""
        return np.array([self.problem.score(plan) for plan in self.plans])

    def model(self, start: int) -> EffectModel:
        """Give the model of effects around a configuration."""
        return EffectModel(self.problem, self.plans[start], float(self.losses[start]))

    def best_of(self, places: Sequence[int]) -> int:
        """Give the configuration that the table holds for the best of some."""
        return max(places, key=lambda place: float(self.scores[place]))

    def telling(self, places: Sequence[int], count: int) -> list[int]:
        """Choose so many configurations of some that tell the most, the start among them."""
        start = self.best_of(places)
        others = {self.plans[place]: place for place in places if place != start}
        chosen = informative(self.model(start), list(others), count - 1)
        return [start, *(others[plan] for plan in chosen)]

    def corrected(self, measured: Sequence[int]) -> FloatArray:
        """Score all configurations by the table, as some measurements correct it, (n,)."""
        start = self.best_of(measured)
        model = self.model(start)
        changes = [self._change(place, start) for place in measured if place != start]
        effects = model.fitted(changes).mean
        return -np.stack([model.row(plan) for plan in self.plans]) @ effects

    def _change(self, place: int, start: int) -> Measurement:
        lost = self.known[start].astype(np.float64) - self.known[place]
        by_base = lost.reshape(-1, self.bench.groups).mean(axis=0)
        variance = float(by_base.var(ddof=1)) / self.bench.groups
        return Measurement(self.plans[place], float(lost.mean()), variance)


def informative(
    model: EffectModel, plans: Sequence[Configuration], count: int
) -> list[Configuration]:
    """Choose plans that tell the most about the effects, before anything is measured.

    One after the other, the plan whose difference from the start is least known beside what it
    would be measured with, once those chosen before are (a D-optimal design, chosen greedily). A
    plan's loss is no sum to a share of it, so that what breaks the network tells little.

    Args:
        model: Of the effects.
        plans: To choose from.
        count: How many; there may be fewer plans.
    """
    unit = replace(model, loss=0.0)  # in the table's units
    known, harms = unit.fitted([]).covariance, unit.fitted([]).mean
    rows = np.array([unit.row(plan) for plan in plans]).reshape(-1, len(harms))
    standing = sum(harms[unit.options.index(pair)] for pair in enumerate(unit.start))
    noise = (MISFIT * (standing + np.abs(rows @ harms))) ** 2 + np.finfo(float).tiny
    left = list(range(len(plans)))
    chosen: list[Configuration] = []
    while left and len(chosen) < count:
        unknown = np.einsum("ij,jk,ik->i", rows[left], known, rows[left])
        place = left.pop(int(np.argmax(unknown / noise[left])))
        chosen.append(plans[place])
        told = known @ rows[place]
        known = known - np.outer(told, told) / (rows[place] @ told + noise[place])
    return chosen


def measure(name: str, proxy: str, counts: Sequence[int], draws: int) -> Found:
    """Rank the configurations of a bench in every way; see the module.

    Raises:
        GpEmqError: The bench or the proxy is not there, or its table cannot rank.
    """
    target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
    bench, values, layers = target.bench, target.bench.oriented, target.inputs.network.layers
    table = load_proxy(proxy).table(target.proxy_inputs())
    given = Measured.of(bench, Problem.of(table, search_space(layers, bench.bits), ()))
    pairs = target.pairs_at_equal_size(target.indices("all"))
    fitted = fitted_scores(bench.configurations, values)
    found: dict[str, list[float]] = defaultdict(list)
    for draw in range(draws):
        order = np.random.default_rng((draw, 7)).permutation(len(values))
        for count in counts:
            drawn, chosen = order[:count], given.telling(order[: len(order) // 2].tolist(), count)
            alone = additive_scores(bench.configurations, values, drawn, values[drawn].max())
            for kind, measured, predicted in (
                (DRAWN, drawn.tolist(), given.corrected(drawn.tolist())),
                (CHOSEN, chosen, given.corrected(chosen)),
                (ALONE, drawn.tolist(), alone),
            ):
                left = np.setdiff1d(order, measured)
                others = KendallRanker(values[left], pairs[np.ix_(left, left)])
                scores = np.stack([predicted, given.scores, fitted])[:, left]
                for one, tau in zip((kind, TABLE, FITTED), others.taus(scores), strict=True):
                    found[f"{kind}, {count}: {one}"].append(float(tau))
    return {one: float(np.mean(taus)) for one, taus in found.items()}


def table_of(rows: Mapping[str, Found]) -> list[str]:
    """Lay the ways out, by parts of networks.

    Args:
        rows: By name of the bench.

    Returns:
        Lines of Markdown: for each part means over its benches, of the table as it was, as it is
        corrected, and of what is fitted to nine tenths; and over all kinds of networks the mean
        difference of the corrected from the other two, with its 95 % interval by Student's t.
    """
    networks = {name: load_bench(name).network for name in rows}
    parts = [part for part in (VALIDATION, TEST) if part in map(part_of, networks.values())]
    by_part = {part: [name for name in rows if part_of(networks[name]) == part] for part in parts}
    titles = [f"{part} ({len(own)}): table, corrected, fitted" for part, own in by_part.items()]
    titles += ["corrected less table", "corrected less fitted"]
    lines = ["| measured | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    told = [one.partition(":")[0] for one in next(iter(rows.values())) if one.endswith(TABLE)]
    for measured in sorted(told, key=lambda one: one.rpartition(",")[0]):
        kind = measured.rpartition(",")[0]
        ways = [f"{measured}: {one}" for one in (TABLE, kind, FITTED)]
        cells = [
            ", ".join(f"{np.mean([rows[name][one] for name in own]):.3f}" for one in ways)
            for own in by_part.values()
        ]
        cells += [_beside(rows, networks, ways[1], one) for one in (ways[0], ways[2])]
        lines.append(f"| {measured} | " + " | ".join(cells) + " |")
    return lines


def _beside(rows: Mapping[str, Found], networks: Mapping[str, str], one: str, other: str) -> str:
    by_kind: dict[str, list[float]] = defaultdict(list)
    for name, found in rows.items():
        by_kind[kind_of(networks[name])].append(found[one] - found[other])
    return difference(np.array([np.mean(own) for own in by_kind.values()]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.handful", description=__doc__)
    parser.add_argument("bench", nargs="*", help="names (default: all of validation and test)")
    parser.add_argument("--rows", type=OutputFile(), required=True, metavar="FILE.json")
    parser.add_argument("--proxy", default="gp-views", help="default: %(default)s")
    parser.add_argument("--counts", nargs="+", type=positive, default=COUNTS, metavar="N")
    parser.add_argument("--draws", type=positive, default=DRAWS, metavar="N")
    options = parser.parse_args(arguments)
    names = options.bench or [
        name for name in BENCHES if part_of(load_bench(name).network) in (VALIDATION, TEST)
    ]
    rows: dict[str, Found] = {}
    if options.rows.exists():
        rows = read_document(options.rows, dict[str, Found], BenchError, "the rows")
    for name in names:
        if name not in rows:
            rows[name] = measure(name, options.proxy, options.counts, options.draws)
            atomic_write_text(options.rows, json.dumps(rows, indent=1))
            sys.stderr.write(f"{name}\n")
    lines = table_of({name: rows[name] for name in names})
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    run_command(main)
