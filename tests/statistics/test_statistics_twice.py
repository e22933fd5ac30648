"""Networks with hard sigmoids have curvature: torch alone derives those once."""

import contextlib

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gp_emq.statistics import StatisticsSettings, _curvature, _derivatives, collect_statistics
from gp_emq.statistics._twice import DerivedTwice

CURVATURE = ("hessian_diagonal", "hessian_trace", "hessian_gradient", "hessian_top_eigenvalue")
AROUND_THE_BENDS = [
    bend + sign * step for bend in (-3, 3) for sign in (-1, 1) for step in (0, 2**-21, 1e-3, 1)
]


class Composite(nn.Module):
    """The hard sigmoid as its definition says."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(x + 3) / 6


class InPlace(nn.Module):
    """The hard sigmoid by its function, over its own input."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.hardsigmoid(x + 0.0, inplace=True)


class Again(nn.Module):
    """Computed again for every backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(functional.hardsigmoid, x, use_reentrant=False)


def network(gate: nn.Module) -> nn.Module:
    """Squeeze and excitation, as in MobileNetV3."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1)
            self.last = nn.Linear(4, 3)
            self.gate = gate

        def forward(self, x: Tensor) -> Tensor:
            found = self.first(x)
            gates = self.gate(2 * self.second(found.mean((2, 3), keepdim=True)))
            return self.last((found * gates).square().mean((2, 3)))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Gated()


def curvature(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    statistics = collect_statistics(
        model, images, labels, bits=(2, 4), settings=StatisticsSettings(hessian_probes=4)
    )
    return {name: statistics.tensor(name) for name in CURVATURE}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_values_and_first_derivatives_are_those_of_torch(dtype) -> None:
    numbers = torch.Generator().manual_seed(0)
    own = [*AROUND_THE_BENDS, 0.0, float("inf"), -float("inf"), float("nan")]
    values = torch.cat([3 * torch.randn(4099, generator=numbers), torch.tensor(own)]).to(dtype)
    slopes = torch.randn(values.shape, generator=numbers).to(dtype)

    def derived() -> tuple[Tensor, Tensor]:
        leaf = values.clone().requires_grad_()
        found = nn.Hardsigmoid()(leaf)
        return found, torch.autograd.grad(found, leaf, slopes)[0]

    expected = derived()
    with DerivedTwice():
        found = derived()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_second_derivatives_are_those_of_differences() -> None:
    values = torch.tensor([-4.0, -2.0, 0.5, 2.5, 3.5], dtype=torch.float64, requires_grad=True)
    with DerivedTwice():
        assert torch.autograd.gradgradcheck(lambda x: functional.hardsigmoid(x.sin() * 4), values)
        changed = values * 2
        assert functional.hardsigmoid(changed, inplace=True) is changed
        rows = torch.func.vmap(functional.hardsigmoid)(torch.ones(2, 3))
    torch.testing.assert_close(rows, torch.full((2, 3), 2 / 3))
    slope = torch.autograd.grad(changed.square().sum(), values, create_graph=True)[0]
    # Of ((2 x + 3) / 6)² between the bends: 4 (2 x + 3) / 36, and 8 / 36.
    inside = ((values > -1.5) & (values < 1.5)).double()
    torch.testing.assert_close(slope, 4 * (2 * values + 3) / 36 * inside)
    twice = torch.autograd.grad(slope.sum(), values)[0]
    torch.testing.assert_close(twice, 8 / 36 * inside)


@pytest.mark.parametrize("gate", [nn.Hardsigmoid(), nn.Hardsigmoid(inplace=True), InPlace()])
def test_the_curvature_is_that_of_the_definition(gate, images: Tensor, labels: Tensor) -> None:
    found, expected = (curvature(network(part), images, labels) for part in (gate, Composite()))
    for name in CURVATURE:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_what_is_computed_again_is_derived_twice(images: Tensor, labels: Tensor) -> None:
    found, expected = (
        curvature(network(part), images, labels) for part in (Again(), nn.Hardsigmoid())
    )
    for name in CURVATURE:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_networks_without_it_have_the_same_numbers(
    images: Tensor, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = curvature(network(nn.Sigmoid()), images, labels)
    for module in (_curvature, _derivatives):
        monkeypatch.setattr(module, "DerivedTwice", contextlib.nullcontext)
    expected = curvature(network(nn.Sigmoid()), images, labels)
    for name in CURVATURE:
        assert torch.equal(found[name], expected[name]), name
