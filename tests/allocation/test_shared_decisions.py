"""A weight that several layers share is decided once and counted once, whoever calls it."""

import itertools

import pytest
import torch
from torch import nn

from gp_emq.allocation import CostTable, allocate, format_plan, kept_in_float
from gp_emq.errors import AllocationError, NetworkError
from gp_emq.networks import find_layers


class Tied(nn.Module):
    """Words are read and written with one matrix, and two products share another."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Embedding(11, 6)
        self.left, self.right = nn.Linear(6, 6), nn.Linear(6, 6)
        self.between = nn.Linear(6, 6, bias=False)
        self.write = nn.Linear(6, 11, bias=False)
        self.right.weight = self.left.weight
        self.write.weight = self.read.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mixed = self.left(images) + self.left(images).relu()
        return self.write(self.right(self.between(mixed)).relu())


MODEL = Tied().eval()
LAYERS = find_layers(MODEL, torch.zeros(1, 6))
BITS = (2, 4, 8)
TABLE = [[-9.0, -3.0, -1.0], [-4.0, -2.0, -1.5], [-7.0, -5.0, -0.5]]
"""Of left and right, of between, of write."""

PARAMETERS = (36 + 6 + 6, 36, 66)
MACS = (2 * 36 + 36, 36, 66)
"""Left is called twice, right once."""


def chosen(**options):
    return allocate(TABLE, LAYERS, bits=BITS, **options)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_sizes_count_the_weight_once_and_operations_every_call(share: float) -> None:
    configurations = list(itertools.product(BITS, repeat=3))

    def total(weights, configuration) -> float:
        return sum(w * b for w, b in zip(weights, configuration, strict=True))

    def score(configuration) -> float:
        return sum(TABLE[e][BITS.index(b)] for e, b in enumerate(configuration))

    average = 2 + 6 * share
    limits = {
        "average_bits": (PARAMETERS, average * sum(PARAMETERS), average),
        "size_mib": (PARAMETERS, average * sum(PARAMETERS), average * sum(PARAMETERS) / 8 / 2**20),
        "bops_g": (MACS, average * sum(MACS), average * sum(MACS) * 8 / 1e9),
    }
    for name, (weights, most, limit) in limits.items():
        plan = chosen(**{name: limit})
        fitting = [c for c in configurations if total(weights, c) <= most * (1 + 1e-9)]
        assert plan.configuration in fitting
        assert score(plan.configuration) == max(map(score, fitting))
        assert plan.widths["left"] == plan.widths["right"]
        assert plan.measures.average_bits == pytest.approx(
            total(PARAMETERS, plan.configuration) / sum(PARAMETERS)
        )
        assert plan.measures.bops_g == pytest.approx(total(MACS, plan.configuration) * 8 / 1e9)
        assert plan.measures.size_mib == pytest.approx(
            total(PARAMETERS, plan.configuration) / 8 / 2**20
        )


def test_a_name_of_one_decides_both_and_two_may_not_differ() -> None:
    for name in ("left", "right"):
        plan = chosen(average_bits=8, fix={name: 2})
        assert (plan.widths["left"], plan.widths["right"]) == (2, 2)
        plan = chosen(average_bits=8, exclude=[name])
        assert set(plan.widths) == {"between", "write"}
        assert plan.measures.size_mib == pytest.approx((48 * 32 + (36 + 66) * 8) / 8 / 2**20)
    with pytest.raises(AllocationError, match="'left' and 'right' have one width"):
        chosen(average_bits=8, fix={"left": 2, "right": 4})
    with pytest.raises(AllocationError, match="'left' and 'right' have one width"):
        chosen(average_bits=8, choices={"lef*": (2,), "righ*": (4, 8)})
    assert chosen(average_bits=8, fix={"left": 4, "right": 4}).widths["right"] == 4


def test_a_cost_of_ones_own_counts_both_layers() -> None:
    costs = {(layer.name, b): 1.0 * b for layer in LAYERS for b in BITS}
    plan = chosen(costs=[CostTable(costs, 4 * 8)])
    assert plan.targets[0].achieved == 4 * 8
    assert set(plan.widths.values()) == {8}


def test_the_text_says_who_shares() -> None:
    text = format_plan(chosen(average_bits=4))
    assert "some layers have the weight of another, which counts it: right that of left" in text


def test_a_weight_that_some_layer_quantizes_does_not_stay_in_float() -> None:
    assert tuple(kept_in_float(MODEL, LAYERS)) == ()
    only = [layer for layer in LAYERS if layer.name != "write"]
    assert tuple(kept_in_float(MODEL, only)) == ("read.weight",)
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 6)), nn.Linear(6, 2))
    assert tuple(kept_in_float(normed, find_layers(normed, torch.zeros(1, 6)))) == ()
    with pytest.raises(NetworkError, match="not those of the network"):
        kept_in_float(normed, LAYERS)
