"""Runs that begin as one before them are cut short, and give the same bit by bit."""

import pytest
import torch
from torch import nn

from gp_emq.networks import load_network
from gp_emq.networks._images import load_calibration
from gp_emq.statistics import collect_statistics
from gp_emq.statistics._replay import Replay

BITS = (2, 3, 4)


class Awkward(nn.Module):
    """Writes into what layers gave, calls one twice and another through its weight alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.last = nn.Linear(4, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.first(images)
        values.relu_()
        values = self.norm(self.twice(values)).add_(values)
        values = self.twice(values).mul_(0.5)
        tokens = values.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.last(tokens.mean(1))


class Adapted(nn.Linear):
    """A layer that calls another one, of as many outputs, before it computes anything itself."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)
        self.inner = nn.Linear(width, width)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return super().forward(self.inner(values).tanh())


def tables(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    statistics = collect_statistics(model, images, bits=BITS)
    names = "measured_divergence", "measured_loss_low", "recipe_divergence", "recipe_divergence_low"
    return [statistics.tensor(name) for name in names]


def with_room(room: int) -> list[torch.Tensor]:
    """The tables of two networks, where so many bytes are kept of what is known already."""
    torch.manual_seed(0)
    networks = [(Awkward(), torch.randn(6, 1, 8, 8))]
    adapted = nn.Sequential(nn.Linear(5, 5), Adapted(5), nn.Linear(5, 3), Adapted(3))
    networks.append((adapted, torch.randn(6, 5)))
    digits = load_calibration("digits", count=8, seed=0).images
    networks.append((load_network("digits").model, digits))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Replay.__init__, "__defaults__", (room,))
        return [table for network in networks for table in tables(*network)]


@pytest.fixture(scope="module")
def plain() -> list[torch.Tensor]:
    """Where nothing is."""
    return with_room(-1)


@pytest.mark.parametrize("room", [0, 3000, 256 * 2**20])
def test_what_is_known_already_changes_nothing(room: int, plain: list[torch.Tensor]) -> None:
    for ours, expected in zip(with_room(room), plain, strict=True):
        assert torch.equal(ours, expected)


def test_calls_before_the_first_that_changed_are_saved() -> None:
    calls: list[str] = []

    class Counted(nn.Linear):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            calls.append("")
            return super().forward(values)

    layers = [Counted(3, 3) for _ in range(4)]
    model, samples = nn.Sequential(*layers[:3], layers[1], layers[3]), torch.randn(2, 3)
    replay = Replay([*layers, nn.Linear(1, 1)])

    def count(*changed: nn.Module) -> int:
        calls.clear()
        with replay.changed(changed):
            model(samples)
        return len(calls)

    with torch.no_grad():
        with replay.watching():
            with replay.recording():
                before = model(samples)
            assert len(calls) == 5
            assert [count(layer) for layer in layers] == [5, 4, 3, 1]
            assert count(layers[3], layers[2]) == 3
            # Of a layer that is called out of sight, nobody knows where.
            assert count(nn.Linear(3, 3)) == 5
            layers[3].weight.mul_(2)
            with replay.changed([layers[3]]):
                after = model(samples)
        assert not torch.equal(before, after)
        assert torch.equal(after, model(samples))
    assert all("forward" not in vars(layer) for layer in layers)
