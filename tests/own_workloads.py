"""Workloads by name, in a module of their own so that commands and workers can import it."""

import torch
from torch import Tensor, nn

from gp_emq.networks import Metric, Workload

SAMPLES = 24


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean(dim=1)


SQUARED_ERROR = Metric("squared error", squared_error, higher_is_better=False)
WORST = Metric("worst error", lambda o, t: (o - t).abs().max(), False, per_sample=False)


def regression(metric: Metric = SQUARED_ERROR) -> Workload:
    """Two inputs, two outputs, and a batch norm."""
    numbers = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, 5, generator=numbers)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 2)
        )
    targets = model.eval()(inputs).detach()
    targets = targets + 0.01 * torch.randn(SAMPLES, 2, generator=numbers)
    return Workload(model, (inputs, targets), loss=squared_error, metric=metric)


class Words(nn.Module):
    """Reads words by the table that it writes them with, and guesses which follow."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.middle = nn.Embedding(7, 6, padding_idx=0), nn.Linear(6, 6)
        self.write = nn.Linear(6, 7, bias=False)
        self.write.weight = self.read.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.write(torch.tanh(self.middle(self.read(words))))


def words() -> Workload:
    """Tokens alone: its metric is how far outputs are from the float network's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Words().eval()
    numbers = torch.Generator().manual_seed(1)
    return Workload(model, torch.randint(0, 7, (SAMPLES, 5), generator=numbers))


class Hidden(Words):
    """Computes in numpy, which autograd does not follow."""

    def forward(self, words: Tensor) -> Tensor:
        seen = torch.from_numpy(self.middle(self.read(words)).detach().numpy())
        return self.write(torch.tanh(seen))


def hidden() -> Workload:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Hidden().eval()
    numbers = torch.Generator().manual_seed(1)
    return Workload(model, torch.randint(0, 7, (3 * SAMPLES, 5), generator=numbers))


def worst() -> Workload:
    return regression(WORST)


def endless() -> Workload:
    """Its metric is nowhere finite."""
    nothing = Metric("nothing", lambda _, t: t[:, 0] / 0)
    return regression(nothing)


def failing() -> Workload:
    raise RuntimeError("no\nroom")


def module() -> nn.Module:
    return nn.Linear(3, 2)


NUMBER = 3


def wide() -> Workload:
    """The regression with other shapes under the same names."""
    workload = regression()
    first, last = nn.Linear(5, 9), nn.Linear(9, 2)
    model = nn.Sequential(first, nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 9), last)
    return workload.of(model)


def shifted() -> Workload:
    """The regression on other samples."""
    workload = regression()
    workload.samples = workload.samples + 1
    return workload


def halved() -> Workload:
    """The regression with another metric under the same name."""
    half = Metric("squared error", lambda o, t: squared_error(o, t) / 2, higher_is_better=False)
    return regression(half)
