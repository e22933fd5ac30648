"""Two worker processes against one on ResNet-18's shapes; a GPU against the CPU, if there is one.

Wall-clock seconds here, since the work of other processes is what is measured.
"""

import time
from collections.abc import Hashable, Sequence
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
        trees = [parse_expression(item, primitive_set) for item in items]
        return [
            Outcome((), table, 0.0) if isinstance(table, str) else Outcome((table,), None, 0.0)
            for table in screen.tables(trees)
        ]

    def failed(self, item: str, reason: str) -> Outcome:
        """Say that a measurement is void."""
        raise RuntimeError(f"{item}: {reason}")


def _seconds(farm: Farm[str, Outcome], expressions: list[str]) -> float:
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
    rows = []
    job = RandomTables(network)
    with (
        Farm([job], jobs=1, backend="loky") as one,
        Farm(
            [job],
            jobs=2,
            backend="loky",
            share=partial(share_expressions, primitive_set=primitive_set),
        ) as two,
    ):
        name = f"{count} trees, two workers"
        rows.append(_row(name, two, "one worker", one, expressions, repeats=repeats))
    if torch.cuda.is_available():
        with Farm([RandomTables(network, "cuda:0")]) as gpu, Farm([job]) as cpu:
            name = f"{count} trees on a GPU"
            rows.append(_row(name, gpu, "one CPU core", cpu, expressions, repeats=repeats))
    return rows


def _row(
    name: str,
    ours: Farm[str, Outcome],
    baseline: str,
    theirs: Farm[str, Outcome],
    expressions: list[str],
    *,
    repeats: int,
) -> Row:
    """Measure in turn, after a pass each that loads the statistics."""
    pairs = [
        (_seconds(ours, expressions), _seconds(theirs, expressions)) for _ in range(repeats + 1)
    ][1:]
    middle = sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]
    return Row(f"{name} (wall clock)", middle[0], baseline, middle[1], middle[1] / middle[0])
