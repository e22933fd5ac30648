"""A layer whose scale is undone behind it: what does not depend on the scale stays as it was."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import gp_emq
from gp_emq.errors import QuantizationError, StatisticsError

INVARIANT = (
    "relative_error", "sqnr", "relative_output_error", "loss_change", "output_divergence", "snip",
    "fisher",
)  # fmt: skip


class Undone(nn.Module):
    """A convolution whose output is divided by what its weights were multiplied by."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(3, 6, 3, bias=False), nn.Linear(6, 4)
        self.conv.weight.data *= factor
        self.factor = factor

    def forward(self, x):
        return self.head((self.conv(x) / self.factor).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def batch():
    images = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(12) % 4


def statistics_of(model, batch):
    return gp_emq.collect_statistics(model, *batch, bits=(4, 8))


# Powers of two, which cost no digit.
@pytest.mark.parametrize("power", [-90, -66, -40, 40, 66, 80])
@pytest.mark.parametrize("name", INVARIANT)
def test_what_is_free_of_the_scale_does_not_change(power, name, batch):
    proxy = gp_emq.load_proxy(name)
    found = proxy.table(statistics_of(Undone(2.0**power), batch))
    right = proxy.table(statistics_of(Undone(1.0), batch))
    np.testing.assert_allclose(found, right, rtol=1e-4)


@pytest.mark.parametrize("power", [-50, -20, 20, 50])
def test_the_top_eigenvalue_goes_with_the_square_of_the_scale(power, batch):
    found, right = (
        statistics_of(Undone(2.0**each), batch).tensor("hessian_top_eigenvalue")
        for each in (power, 0)
    )
    torch.testing.assert_close(found * torch.tensor([4.0**power, 1]).double(), right, rtol=1e-4,
                               atol=0)  # fmt: skip


@pytest.mark.parametrize("power", [-40, -24, 0, 24, 40])
def test_the_traces_of_layers_are_those_of_their_blocks_whatever_the_others_are(power, batch):
    model = Undone(2.0**power)
    exact, images, labels = copy.deepcopy(model).double(), batch[0].double(), batch[1]
    weights = [exact.conv.weight, exact.head.weight]
    loss = functional.cross_entropy(exact(images), labels)
    slopes = torch.autograd.grad(loss, weights, create_graph=True)
    traces = [
        sum(
            float(torch.autograd.grad(one, weight, retain_graph=True)[0].flatten()[index])
            for index, one in enumerate(slope.flatten())
        )
        for slope, weight in zip(slopes, weights, strict=True)
    ]
    settings = gp_emq.statistics.StatisticsSettings(hessian_probes=200)
    statistics = gp_emq.collect_statistics(model, *batch, bits=(4, 8), settings=settings)
    found = statistics.tensor("hessian_trace").tolist()
    assert found == pytest.approx(traces, rel=0.2)


@pytest.mark.parametrize("power", [-80, -70, 66, 80])
def test_squares_of_gradients_that_float32_has_no_room_for_are_refused(power, batch):
    statistics = statistics_of(Undone(2.0**power), batch)
    with pytest.raises(StatisticsError, match=r"in layer 'conv'|layer 'conv' are") as error:
        gp_emq.load_proxy("fit").table(statistics)
    assert "\n" not in str(error.value)


def test_squares_that_it_has_room_for_are_those_of_single_images(batch):
    model = Undone(2.0**50)
    exact, images, labels = copy.deepcopy(model).double(), batch[0].double(), batch[1]
    squares = torch.zeros_like(exact.conv.weight)
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        loss = functional.cross_entropy(exact(image), label)
        squares += torch.autograd.grad(loss, exact.conv.weight)[0].square() / len(images)
    statistics = statistics_of(model, batch)
    found = statistics.layout("Weights").views(statistics.tensor("fisher_diagonal"))[0].double()
    torch.testing.assert_close(found, squares, rtol=1e-4, atol=0)


def test_a_layer_that_gets_no_gradient_has_a_fisher_diagonal_of_zeros(batch):
    model = Undone(1.0)
    model.head.weight.data[:] = model.head.weight.data[:1]
    statistics = statistics_of(model, batch)
    found = statistics.layout("Weights").views(statistics.tensor("fisher_diagonal"))
    assert float(found[0].abs().max()) < 1e-12 < float(found[1].abs().max())


def test_weights_without_a_grid_are_refused_by_name(batch):
    statistics = statistics_of(Undone(1e-40), batch)
    with pytest.raises(QuantizationError, match="the weights of layer 'conv' are at most"):
        gp_emq.load_proxy("relative_error").table(statistics)
