"""What a forward pass makes, sets and registers is gone after it, or refused."""

import pytest
import torch
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import NetworkError
from gp_emq.networks import find_layers

SAMPLES = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


class Late(nn.Module):
    """Makes its last layer when it knows how wide that must be."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), None

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).relu()
        if self.last is None:
            self.last = nn.Linear(hidden.shape[1], 3)
        return self.last(hidden)


class Anew(Late):
    """Makes another one each time."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = nn.Linear(5, 3)
        return self.last(self.first(x).relu())


class Scaled(Late):
    """Makes a parameter."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones(5))
        return self.first(x) * self.scale


class Chosen(nn.Module):
    """Calls one of its layers by another name, and keeps an activation and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)])
        self.head = self.layers[0]

    def forward(self, x: Tensor) -> Tensor:
        self.head = self.layers[1]
        self.act = nn.Tanh()
        if not hasattr(self, "ones"):
            self.register_buffer("ones", torch.ones(3))
        return self.act(self.head(x)) * self.ones


@pytest.mark.parametrize(("model", "made"), [(Late, "last"), (Anew, "last"), (Scaled, "scale")])
def test_what_a_pass_makes_with_weights_is_refused(model: type[nn.Module], made: str) -> None:
    for call in (
        lambda: gp_emq.collect_statistics(model(), SAMPLES, bits=(2, 4)),
        lambda: gp_emq.quantize(model(), {"first": 4}, SAMPLES),
    ):
        with pytest.raises(NetworkError, match=f"makes '{made}'.*run the network on some samples"):
            call()


def test_it_is_taken_once_the_network_has_run() -> None:
    model = Late()
    model(SAMPLES)
    assert [layer.name for layer in find_layers(model, SAMPLES)] == ["first", "last"]


def test_what_a_pass_sets_to_what_is_there_changes_nothing() -> None:
    model = Chosen()
    statistics = gp_emq.collect_statistics(model, SAMPLES, bits=(2, 4))
    assert [layer.name for layer in statistics.layers] == ["layers.1"]
    assert [*statistics.origin.network.model._modules] == ["layers", "head"]
    assert statistics.origin.network.model.head is statistics.origin.network.model.layers[0]
    assert [*model._modules] == ["layers", "head"]
