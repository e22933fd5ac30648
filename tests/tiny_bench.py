"""A bench so small that a search takes a second: four entries, 81 configurations."""

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gp_emq.evolution import Search, SearchSettings, TableJob, Tabulation, make_selection
from gp_emq.mqbench import Bench, BenchInputs
from gp_emq.networks import Network, Workload, find_layers
from gp_emq.objectives import BenchObjective
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, collect_statistics
from primitives import load_primitive_set

BITS = (2, 3, 4)


class TinyNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.shortcut = nn.Conv2d(4, 6, 1, stride=2)
        self.third = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images))
        hidden = torch.relu(self.second(hidden) + self.shortcut(hidden))
        hidden = torch.relu(self.third(hidden))
        return self.last(hidden.mean(dim=(2, 3)))


@dataclass(frozen=True)
class Tiny:
    """Everything a search needs."""

    bench: Bench
    inputs: BenchInputs
    statistics: Statistics
    folder: Path

    def tables(self, primitives: str, *, probing: bool = True, networks: int = 1):
        """A function from expressions to screened tables, of the network so often, right here."""
        job = TableJob(primitives, (self.folder,) * networks, probing)
        return Tabulation(job, partial(job.work, job.set_up()))

    def search(
        self,
        primitives: str = "bit_aware",
        *,
        selection: str = "diversity",
        seeds=(),
        samples: int | None = None,
        tables=None,
        progress=lambda done, wanted: None,
        **settings,
    ) -> Search:
        screening = settings.get("screening", True)
        return Search(
            primitive_set=load_primitive_set(primitives),
            objective=BenchObjective(self.bench, samples=samples, seed=settings.get("seed", 0)),
            evaluate=tables or self.tables(primitives, probing=screening),
            selection=make_selection(selection),
            settings=SearchSettings(**{"population": 10, **settings}),
            seeds=seeds,
            progress=progress,
        )


def make_bench(statistics: Statistics, name: str = "tiny", noise: float = 0.02) -> Bench:
    """All 81 configurations; accuracy falls with the loss that FIT expects, and some noise."""
    fisher, moved = statistics.tensor("fisher_diagonal"), statistics.tensor("perturbation")
    table = statistics.layout("Weights").sum_entries(fisher * moved.square()).T.numpy()
    choices = np.array(list(itertools.product(range(3), repeat=4)))
    loss = table[np.arange(4), choices].sum(axis=1)
    ranks = loss.argsort().argsort() / len(loss)
    rng = np.random.default_rng(0)
    accuracies = 0.9 - 0.5 * ranks + rng.normal(scale=noise, size=len(loss))
    split = rng.permutation(np.repeat([0, 1, 2], (41, 12, 28))).astype(np.int8)
    return Bench(
        name=name,
        network="tiny",
        layers=tuple(layer.name for layer in statistics.layers),
        entries=((0,), (1, 2), (3,), (4,)),
        bits=BITS,
        protocol="made up",
        configurations=np.asarray(BITS, dtype=np.int8)[choices],
        accuracies=np.clip(accuracies, 0, 1),
        correct=None,
        images=1000,
        split=split,
        groups=1000,
    )


def make_tiny(cache: Path, name: str = "tiny", seed: int = 11) -> Tiny:
    """Collect the statistics of all primitive sets into a folder, and make the bench."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = TinyNetwork().eval()
    images = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(12))
    labels = torch.randint(0, 3, (12,), generator=torch.Generator().manual_seed(13))
    quantizer = WeightQuantizer(scale_rule="minmax")
    ties = [("second", "shortcut")]
    statistics = collect_statistics(
        model, images, labels, bits=BITS, quantizer=quantizer, ties=ties, cache=cache
    )
    for primitives in ("bit_aware", "emq"):
        statistics.prepare(load_primitive_set(primitives).needs)
    assert statistics.folder is not None
    network = Network("tiny", model, find_layers(model, images[:1], ties), (1, 8, 8))
    inputs = BenchInputs(network, Workload(model, images, labels), quantizer, renormed=True)
    return Tiny(make_bench(statistics, name), inputs, statistics, statistics.folder)
