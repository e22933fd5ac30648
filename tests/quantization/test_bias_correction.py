"""Biases move so that channels have the means of the float network."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import BenchError
from gp_emq.mqbench import find_protocol
from gp_emq.mqbench._measure import choose_arithmetic
from gp_emq.quantization.recipes import usual_method

METHOD = "rtn+bias-correction"


class Chain(nn.Module):
    """A layer without a bias, one that is called twice, and outputs with channels on two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3)
        self.plain = nn.Conv2d(6, 6, 1, bias=False)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.token, self.head = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.plain(self.first(x).relu()).relu()
        x = self.twice(self.twice(x).relu()).relu()
        return self.head(self.token(x.flatten(2).transpose(1, 2)).relu().mean(1))


@pytest.fixture(scope="module")
def made() -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Chain().eval(), torch.randn(20, 2, 8, 8)


def means(network: nn.Module, images: Tensor, name: str) -> list[Tensor]:
    """The mean of every output channel, for each call of a layer."""
    found: list[Tensor] = []
    module = network.get_submodule(name)
    over = (0, 2, 3) if isinstance(module, nn.Conv2d) else None

    def see(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output.mean(over) if over else output.flatten(0, -2).mean(0))

    handle = module.register_forward_hook(see)
    with torch.no_grad():
        network(images)
    handle.remove()
    return found


def test_every_channel_has_the_mean_of_the_float_network(made) -> None:
    model, images = made
    plan = dict.fromkeys(["first", "plain", "token", "head"], 2)
    rounded = gp_emq.quantize(model, plan, images, method="rtn", activation_bits=32)
    moved = gp_emq.quantize(model, plan, images, method=METHOD, activation_bits=32)
    for name in ("first", "token", "head"):
        (expected,), (found,) = (means(of, images, name) for of in (model, moved.network))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(means(rounded.network, images, name)[0], expected, atol=1e-3)
    for name, value in moved.network.state_dict().items():
        before = rounded.network.state_dict()[name]
        is_moved = name in {"first.bias", "token.bias", "head.bias"}
        assert torch.equal(value, before) != is_moved


def test_a_layer_that_is_called_twice_moves_by_the_mean_of_both(made) -> None:
    model, images = made
    moved = gp_emq.quantize(model, {"twice": 2}, images, method=METHOD, activation_bits=32)
    # By hand: the second call is fed what the first gives once it is corrected.
    rounded, shifts, fed = nn.Conv2d(6, 6, 3, padding=1), [], None
    rounded.load_state_dict(
        {"weight": moved.network.twice.weight.detach(), "bias": model.twice.bias.detach()}
    )
    with torch.no_grad():
        fed = model.plain(model.first(images).relu()).relu()
        for expected in means(model, images, "twice"):
            output = rounded(fed)
            shifts.append(expected - output.mean((0, 2, 3)))
            fed = (output + shifts[-1].view(-1, 1, 1)).relu()
    bias = model.twice.bias.detach() + torch.stack(shifts).mean(0)
    torch.testing.assert_close(moved.network.twice.bias.detach(), bias, rtol=1e-4, atol=1e-5)


def test_files_hold_the_biases_that_moved(made, tmp_path) -> None:
    model, images = made
    moved = gp_emq.quantize(model, {"first": 3, "head": 3}, images, method=METHOD)
    gp_emq.save_quantized(moved, tmp_path / "moved.safetensors")
    again = gp_emq.load_quantized(tmp_path / "moved.safetensors", model)
    assert torch.equal(again(images), moved(images))
    assert torch.equal(again.network.head.bias, moved.network.head.bias)


def test_what_is_usual_depends_on_batch_norm(made) -> None:
    assert usual_method(made[0]) == METHOD
    normed = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    assert usual_method(normed) == "rtn+bn-correction"
    assert usual_method(normed, learns=True) == "adaround+bn-correction"
    assert usual_method(made[0], learns=True) == "adaround+bias-correction"
    no_statistics = nn.BatchNorm1d(4, track_running_stats=False)
    instances = nn.InstanceNorm2d(4, track_running_stats=True)
    assert usual_method(nn.Sequential(no_statistics, instances)) == METHOD


def test_quantize_takes_what_is_usual_or_what_the_plan_was_made_for(made) -> None:
    model, images = made[0], made[1]
    statistics = gp_emq.collect_statistics(model, images, bits=(2, 3, 4))
    table = gp_emq.load_proxy("relative_error").table(statistics)
    plan = gp_emq.allocate(table, statistics.layers, average_bits=3)
    for provenance, method in (({}, METHOD), ({"method": "rtn"}, "rtn")):
        named = gp_emq.quantize(model, plan, images, method=method)
        found = gp_emq.quantize(model, replace(plan, provenance=provenance), images)
        assert torch.equal(found(images), named(images))
    moved, plain = (gp_emq.quantize(model, plan, images, method=one) for one in (METHOD, "rtn"))
    assert not torch.equal(moved(images), plain(images))
    with pytest.raises(gp_emq.errors.QuantizationError, match="unknown method 'best'"):
        gp_emq.quantize(model, replace(plan, provenance={"method": "best"}), images)


def test_biases_move_in_float_arithmetic_alone() -> None:
    protocol = find_protocol(METHOD)
    assert choose_arithmetic(protocol) == "float"
    with pytest.raises(BenchError, match="a method that moves no biases"):
        choose_arithmetic(protocol, "integer")
