"""Every recipe with groups of weights that share a scale, against computations in numpy."""

import itertools

import numpy as np
import pytest
import torch
from small_networks import Normed, made, pictures
from torch import nn

import gp_emq
from gp_emq.quantization import WeightQuantizer
from gp_emq.quantization.recipes import list_recipes

GROUP = 5
GROUPED = WeightQuantizer(per_channel=True, scale_rule="minmax", group=GROUP)
# Rows of 18 weights have groups of 5, 5, 5 and 3; those of 4 have one.
WIDTHS = {"conv": 3, "head": 2}
NEAREST = ("rtn", "rtn+bias-correction", "rtn+bn", "rtn+bn-correction")
LEARNED_AND_CORRECTED = ("adaround+bias-correction", "adaround+bn-correction")


def steps(weight: np.ndarray, bits: int, group: int = GROUP) -> np.ndarray:
    """The min-max step of each weight, a group at a time; float32."""
    rows = weight.reshape(len(weight), -1)
    found = np.empty_like(rows)
    for row, start in itertools.product(range(len(rows)), range(0, rows.shape[1], group)):
        part = rows[row, start : start + group]
        found[row, start : start + group] = np.float32(
            2 * float(np.abs(part).max()) / (2**bits - 1)
        )
    return found.reshape(weight.shape)


def nearest(weight: np.ndarray, bits: int) -> np.ndarray:
    step = steps(weight, bits)
    return np.clip(np.rint(weight / step), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * step


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: model.get_submodule(name).weight.detach().numpy() for name in WIDTHS}


def by_hand(model: nn.Module) -> nn.Module:
    """The network with the weights that numpy rounds to nearest."""
    rounded = made(Normed)
    rounded.load_state_dict(model.state_dict())
    for name, weight in weights_of(model).items():
        values = torch.from_numpy(nearest(weight, WIDTHS[name]))
        rounded.get_submodule(name).weight.data.copy_(values)
    return rounded


def quantized(model: nn.Module, method: str, **options):
    return gp_emq.quantize(
        model, WIDTHS, pictures(), method=method, quantizer=GROUPED, activation_bits=32, **options
    )


def test_all_recipes_are_held_to_something_here() -> None:
    tested = {*NEAREST, *LEARNED_AND_CORRECTED, "adaround", "brecq"}
    assert {recipe.name for recipe in list_recipes()} == tested


def fed(model: nn.Module) -> np.ndarray:
    """What the batch norm is fed: (channels, values)."""
    with torch.no_grad():
        outputs = model.conv(pictures()).double().numpy()
    return outputs.transpose(1, 0, 2, 3).reshape(4, -1)


def correct_by_hand(expected: nn.Module, model: nn.Module, method: str) -> None:
    """Correct a network whose weights are rounded as a method does, in numpy."""
    seen, before, norm = fed(expected), fed(model), model.norm
    mean, variance = norm.running_mean.double().numpy(), norm.running_var.double().numpy()
    if method.endswith("+bn"):
        mean, variance = seen.mean(1), seen.var(1, ddof=1)
    if method.endswith("+bn-correction"):
        mean = mean + seen.mean(1) - before.mean(1)
        variance = variance * seen.var(1) / before.var(1)
    if method.endswith("+bias-correction"):
        with torch.no_grad():
            expected.conv.bias += torch.from_numpy(before.mean(1) - seen.mean(1)).float()
            expected.head.bias += (model(pictures()) - expected(pictures())).mean(0)
    expected.norm.running_mean.copy_(torch.from_numpy(mean))
    expected.norm.running_var.copy_(torch.from_numpy(variance))


@pytest.mark.parametrize("method", LEARNED_AND_CORRECTED)
def test_what_is_learned_is_corrected_as_what_is_rounded_to_nearest(method: str) -> None:
    model = made(Normed)
    learned = quantized(model, "adaround", iterations=60)
    assert any(
        not np.array_equal(learned.network.get_submodule(name).weight.detach().numpy(), weight)
        for name, weight in weights_of(by_hand(model)).items()
    )
    expected = made(Normed)
    expected.load_state_dict(learned.network.state_dict())
    correct_by_hand(expected, model, method)
    found = quantized(model, method, iterations=60)
    for name, weight in learned.weights.items():
        assert torch.equal(found.weights[name].integers, weight.integers)
    with torch.no_grad():
        torch.testing.assert_close(found(pictures()), expected(pictures()), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(found(pictures()), learned(pictures()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", NEAREST)
def test_rounding_to_nearest_is_that_of_a_loop_over_groups(method: str) -> None:
    model = made(Normed)
    expected = by_hand(model)
    correct_by_hand(expected, model, method)
    found = quantized(model, method)
    for name in WIDTHS:
        ours, theirs = (of.get_submodule(name).weight for of in (found.network, expected))
        assert torch.equal(ours, theirs)
    with torch.no_grad():
        torch.testing.assert_close(found(pictures()), expected(pictures()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["adaround", "brecq"])
def test_learned_weights_are_multiples_of_the_steps_of_their_groups(method: str) -> None:
    model = made(Normed)
    found = quantized(model, method, iterations=60)
    moved = 0
    for name, weight in weights_of(model).items():
        bits, step = WIDTHS[name], steps(weight, WIDTHS[name])
        values = found.network.get_submodule(name).weight.detach().numpy()
        integers = found.weights[name].integers.numpy()
        assert np.array_equal(values, integers.astype(np.float32) * step)
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        # Up or down, within the grid.
        down = np.clip(np.floor(weight / step), low, high)
        up = np.clip(np.floor(weight / step) + 1, low, high)
        assert ((integers == down) | (integers == up)).all()
        moved += int((values != nearest(weight, bits)).sum())
    assert moved > 0


class Products(nn.Module):
    """One product, whose rows of 6 inputs have groups of 4 and 2."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 2, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.linear(inputs)


@pytest.mark.parametrize("method", ["adaround", "brecq"])
def test_learned_rounding_is_nearer_to_the_best_than_to_the_nearest(method: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = Products().eval()
        # Inputs that go together, so that roundings are to be chosen together.
        inputs = torch.randn(64, 2) @ torch.randn(2, 6) + 0.1 * torch.randn(64, 6)
    quantizer = WeightQuantizer(per_channel=True, scale_rule="minmax", group=4)
    found = gp_emq.quantize(
        model, {"linear": 3}, inputs, method=method, quantizer=quantizer, activation_bits=32,
        iterations=400,
    )  # fmt: skip
    weight, given = model.linear.weight.detach().numpy(), inputs.double().numpy()
    step = steps(weight, 3, 4)
    covariance = given.T @ given

    def loss(values: np.ndarray, row: int) -> float:
        change = values.astype(np.float64) - weight[row]
        return float(change @ covariance @ change)

    learned = found.network.linear.weight.detach().numpy()
    rounded = np.clip(np.rint(weight / step), -4, 3) * step
    # The 64 ways to round each row up and down.
    best = sum(
        min(
            loss(np.clip(np.floor(weight[row] / step[row]) + ups, -4, 3) * step[row], row)
            for ups in itertools.product((0, 1), repeat=6)
        )
        for row in range(2)
    )
    ours, theirs = (sum(loss(of[row], row) for row in range(2)) for of in (learned, rounded))
    assert best - 1e-9 <= ours < (best + theirs) / 2
