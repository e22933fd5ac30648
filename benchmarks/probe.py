"""How often the probe rejects what the whole network would not: ``python -m benchmarks.probe``.

Random trees of each primitive set, none twice, are judged by the probe and by their full tables in
float32 and float64. A false reject is a tree that the probe turns away though its full table passes
the same tests.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gp_emq.command import run_command
from gp_emq.evolution._generation import generate
from gp_emq.evolution._judging import compared, judged
from gp_emq.evolution._probe import Probe
from gp_emq.evolution._screening import StructureScreen
from gp_emq.experiment import RunConfiguration
from gp_emq.experiment._setting import load_setting
from gp_emq.farm import FarmSettings
from gp_emq.options import OptionParser, positive
from gp_emq.proxies import Evaluator, Node, simplified
from gp_emq.statistics import Statistics
from primitives import PrimitiveSet, load_primitive_set, primitive_set_names

BATCH = 200
"""Trees that are evaluated together, as in a generation."""


@dataclass(frozen=True)
class Count:
    """What the probe makes of the trees of a set.

    Args:
        trees: How many there were.
        valid: How many have a full table that passes.
        false: Those of them that the probe rejects, by its reason.
        rejected: How many the probe rejects.
        probe_seconds: What the probe took.
        full_seconds: What the full tables in float32 would take without it.
    """

    trees: int
    valid: int
    false: Counter[str]
    rejected: int
    probe_seconds: float
    full_seconds: float

    def line(self, name: str) -> str:
        """Write the count as a line of a Markdown table."""
        total = self.false.total()
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.false.most_common())
        return (
            f"| `{name}` | {self.trees} | {self.rejected} | {self.valid} | {total} "
            f"| {total / max(1, self.valid):.2%} | {reasons or '–'} "
            f"| {self.probe_seconds:.2f} s | {self.full_seconds:.2f} s |"
        )


def random_trees(primitive_set: PrimitiveSet, count: int) -> list[list[Node]]:
    """Draw trees as a search's first generation does, none of a form seen before.

    Args:
        primitive_set: The set.
        count: How many.
    """
    screen = StructureScreen(primitive_set, max_size=30, max_depth=8)
    trees: dict[str, list[Node]] = {}
    for seed in range(100 * count):
        drawn = generate(primitive_set, 1, 5, rng=random.Random(seed))
        tree, form = simplified(drawn, primitive_set)
        if screen.reason(tree) is None:
            trees.setdefault(form, tree)
        if len(trees) == count:
            break
    return list(trees.values())


def count_false_rejects(
    primitive_set: PrimitiveSet, statistics: Statistics, trees: Sequence[Sequence[Node]]
) -> Count:
    """Judge trees by the probe and by their full tables.

    Args:
        primitive_set: The set the trees are made of.
        statistics: The network's statistics.
        trees: The trees.
    """
    probe = Probe(primitive_set, statistics)
    single = Evaluator(primitive_set, statistics)
    double = Evaluator(primitive_set, statistics.to(torch.float64))
    false: Counter[str] = Counter()
    valid = rejected = 0
    seconds = [0.0, 0.0]
    for start in range(0, len(trees), BATCH):
        batch = trees[start : start + BATCH]
        began = time.process_time()
        reasons = probe.reasons(batch)
        probed = time.process_time()
        results = single.tables(batch)
        seconds[0] += probed - began
        seconds[1] += time.process_time() - probed
        for reason, one, other in zip(reasons, results, double.tables(batch), strict=True):
            table = judged(one)
            passes = not isinstance(table, str) and compared(table, other) is None
            valid += passes
            rejected += reason is not None
            if passes and reason is not None:
                false[reason] += 1
    return Count(len(trees), valid, false, rejected, *seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.probe", description=__doc__)
    parser.add_argument("sets", nargs="*", help="primitive sets (default: all)")
    parser.add_argument("--trees", type=positive, default=4000, help="of each set (default: 4000)")
    parser.add_argument("--bench", default="digits", help="whose network (default: digits)")
    options = parser.parse_args(arguments)
    sys.stdout.write(
        "| set | trees | rejected | valid | false rejects | of the valid | by reason | probe "
        "| full tables |\n|---|---:|---:|---:|---:|---:|---|---:|---:|\n"
    )
    for name in options.sets or primitive_set_names():
        primitive_set = load_primitive_set(name)
        setting = load_setting(RunConfiguration(bench=options.bench, primitives=name))
        (statistics,) = setting.collect(FarmSettings())
        trees = random_trees(primitive_set, options.trees)
        count = count_false_rejects(primitive_set, statistics, trees)
        sys.stdout.write(count.line(name) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    run_command(main)
