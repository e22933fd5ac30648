"""Two worker processes against one on ResNet-18's shapes; a GPU against the CPU, if there is one.

Processor seconds of the workers, of two those of the longer share: what a wall clock would show
with a core for each, but for what they take from each other. A GPU is timed by the wall clock.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.evaluation import typed_trees
from benchmarks.shapes import random_statistics
from benchmarks.timing import Row
from gp_emq.evolution import Outcome
from gp_emq.evolution._screening import TableScreen
from gp_emq.farm import Farm
from gp_emq.proxies import parse_expression, share_expressions, to_expression
from primitives import PrimitiveSet, load_primitive_set


@dataclass(frozen=True)
class RandomTables:
    """Screens expressions on random statistics that each process draws for itself.

    Args:
        network: Whose shapes.
        device: Where tables are computed.
    """

    network: str
    device: str = "cpu"

    @property
    def key(self) -> Hashable:
        """What tells this job's set-up from any other's."""
        return (self.network, self.device)

    def set_up(self) -> tuple[PrimitiveSet, TableScreen]:
        """Draw the statistics; nothing is cached, so that every pass does the same work."""
        primitive_set = load_primitive_set("bit_aware")
        statistics = random_statistics(self.network)
        screen = TableScreen(
            primitive_set, statistics, device=self.device, cache_bytes=0, memory=2**28
        )
        return primitive_set, screen

    def work(self, state: tuple[PrimitiveSet, TableScreen], items: Sequence[str]) -> list[Outcome]:
        """Screen expressions side by side."""
        primitive_set, screen = state
        start = time.process_time()
        trees = [parse_expression(item, primitive_set) for item in items]
        found = screen.tables(trees)
        seconds = (time.process_time() - start) / max(1, len(items))
        return [
            Outcome((), table, seconds)
            if isinstance(table, str)
            else Outcome((table,), None, seconds)
            for table in found
        ]

    def failed(self, item: str, reason: str) -> Outcome:
        """Say that a measurement is void."""
        raise RuntimeError(f"{item}: {reason}")


def _of_the_longest(
    farm: Farm[str, Outcome], expressions: list[str], parts: Sequence[tuple[int, ...]]
) -> float:
    """Processor seconds of the worker that takes longest, of the parts that they are given."""
    outcomes = farm.map(expressions)
    return max(sum(outcomes[place].seconds for place in part) for part in parts)


def _wall(farm: Farm[str, Outcome], expressions: list[str]) -> float:
    start = time.perf_counter()
    farm.map(expressions)
    return time.perf_counter() - start


def benchmark(network: str = "resnet18", count: int = 200, repeats: int = 3) -> list[Row]:
    """Measure one generation of the default set.

    Args:
        network: Whose shapes.
        count: Trees.
        repeats: Pairs that count.
    """
    primitive_set = load_primitive_set("bit_aware")
    trees = typed_trees(primitive_set, count)
    expressions = [to_expression(tree, primitive_set) for tree in trees]
    share = partial(share_expressions, primitive_set=primitive_set)
    whole, halves = [tuple(range(count))], share(expressions, 2)
    rows = []
    job = RandomTables(network)
    with (
        Farm([job], jobs=1, backend="loky") as one,
        Farm([job], jobs=2, backend="loky", share=share) as two,
    ):
        rows.append(
            _row(
                f"{count} trees, the longer share of two workers",
                partial(_of_the_longest, two, expressions, halves),
                "one worker",
                partial(_of_the_longest, one, expressions, whole),
                repeats=repeats,
            )
        )
    if torch.cuda.is_available():
        with Farm([RandomTables(network, "cuda:0")]) as gpu, Farm([job]) as cpu:
            rows.append(
                _row(
                    f"{count} trees on a GPU (wall clock)",
                    partial(_wall, gpu, expressions),
                    "one CPU core",
                    partial(_wall, cpu, expressions),
                    repeats=repeats,
                )
            )
    return rows


def _row(
    name: str,
    ours: Callable[[], float],
    baseline: str,
    theirs: Callable[[], float],
    *,
    repeats: int,
) -> Row:
    """Measure in turn, after a pass each that loads the statistics."""
    pairs = [(ours(), theirs()) for _ in range(repeats + 1)][1:]
    middle = sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]
    return Row(name, middle[0], baseline, middle[1], middle[1] / middle[0])
