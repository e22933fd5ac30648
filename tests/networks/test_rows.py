"""Outputs count where they have a row for each sample, whatever the size of the batch is."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import StatisticsError
from gp_emq.networks import Workload

COUNT, DIRECTIONS = 18, 2
INPUTS = torch.randn(COUNT, 5, 3, generator=torch.Generator().manual_seed(1))


class Tagger(nn.Module):
    """Gives tags, the last state (2, n, 4) of both directions, and the mean over the batch (2,)."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(3, 4), nn.Linear(8, 6)
            self.both = nn.GRU(4, 4, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found, state = self.both(self.first(x).tanh())
        return self.last(found), state, found.mean((0, 1))[:DIRECTIONS]


class Alone(nn.Module):
    """Gives tags alone."""

    def __init__(self) -> None:
        super().__init__()
        self.tagger = Tagger()

    def forward(self, x: Tensor) -> Tensor:
        tags: Tensor = self.tagger(x)[0]
        return tags


@pytest.mark.parametrize("batch", [1, DIRECTIONS, COUNT])
def test_what_is_as_long_as_a_batch_by_chance_is_no_row_of_samples(batch: int) -> None:
    workload = Workload(Tagger(), {"x": INPUTS})
    small = gp_emq.quantize(workload, {"first": 3, "last": 2}, method="rtn")
    with torch.no_grad():
        before, after = (network(INPUTS)[0].double().numpy() for network in (workload.model, small))
    expected = ((before - after) ** 2).mean(axis=(1, 2))
    np.testing.assert_allclose(workload.of(small).measured(batch=batch), expected, rtol=1e-4)


def test_tables_are_those_of_the_outputs_that_are_rows() -> None:
    tables = [
        np.asarray(gp_emq.load_proxy(proxy).table(gp_emq.collect_statistics(workload, bits=(2, 4))))
        for workload in (Workload(Tagger(), {"x": INPUTS}), Workload(Alone(), {"x": INPUTS}))
        for proxy in ("fit", "hawq_v2", "output_divergence")
    ]
    for one, other in zip(tables[:3], tables[3:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


class Pairs(nn.Module):
    """Compares all samples of a batch with each other, or gives the steps that the longest has."""

    def __init__(self, *, longest: bool) -> None:
        super().__init__()
        self.layer, self.longest = nn.Linear(3, 4), longest

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x)
        if not self.longest:
            return found.mean(1) @ found.mean(1).T
        steps = int((x[:, :, 0] > 0).sum(1).max()) + 1
        return found[:, :steps]


@pytest.mark.parametrize("longest", [False, True])
def test_outputs_of_another_shape_in_another_batch_are_refused(longest: bool) -> None:
    workload = Workload(Pairs(longest=longest), {"x": INPUTS.repeat(5, 1, 1)})

    def table() -> object:
        return gp_emq.load_proxy("fit").table(gp_emq.collect_statistics(workload, bits=(2, 4)))

    for call in (table, lambda: gp_emq.best_plan(workload, average_bits=3)):
        with pytest.raises(StatisticsError, match="must not have another shape in another batch"):
            call()


class Exits(nn.Module):
    """Gives a second answer for samples of which the first is too small."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(15, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = self.first(x.flatten(1))
        return [found] if bool((x[:, 0, 0] > 0).all()) else [found, self.second(found)]


def test_outputs_of_which_there_are_now_more_now_fewer_are_refused() -> None:
    workload = Workload(Exits(), {"x": INPUTS})
    with pytest.raises(StatisticsError, match=r"gives [12] outputs for the first sample and [12]"):
        workload.measured(batch=1)


def of_first(outputs: Tensor, _inputs: object) -> Tensor:
    return outputs[:, 0].square().mean(dim=1)


def test_a_loss_of_ones_own_may_be_of_as_many_steps_as_the_longest_has() -> None:
    metric = gp_emq.Metric("first", of_first, higher_is_better=False)
    workload = Workload(Pairs(longest=True), {"x": INPUTS}, loss=of_first, metric=metric)
    table = np.asarray(
        gp_emq.load_proxy("fit").table(gp_emq.collect_statistics(workload, bits=(2, 4)))
    )
    assert np.isfinite(table).all()
    assert table[0, 1] > table[0, 0]
