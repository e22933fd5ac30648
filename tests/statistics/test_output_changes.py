"""What quantizing a layer does to its output, against layers that are run with changed weights."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.quantization import WeightQuantizer, fake_quantize
from gp_emq.statistics import Statistics, StatisticsSettings, collect_statistics
from gp_emq.statistics._activations import kept_images

BITS = (2, 4)


def collect(model: nn.Module, images: Tensor, labels: Tensor | None, **settings: int) -> Statistics:
    return collect_statistics(
        model,
        images,
        labels,
        bits=BITS,
        quantizer=WeightQuantizer(),
        settings=StatisticsSettings(**settings),
    )


def quantized(weight: Tensor, width: int) -> Tensor:
    return fake_quantize(weight, WeightQuantizer().parameters(weight, width))


def views_of(statistics: Statistics, name: str) -> list[Tensor]:
    return statistics.layout(statistics.kind_of(name)).views(statistics.tensor(name))


def fed_and_given(model: nn.Module, images: Tensor) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """Each layer of the tiny network with its input and its output."""
    first = model.first(images)
    hidden = model.norm(first).relu()
    second = model.second(hidden)
    pooled = second.relu().mean(dim=(2, 3))
    return [
        (model.first, images, first),
        (model.second, hidden, second),
        (model.last, pooled, model.last(pooled)),
    ]


def test_output_change_is_that_of_the_layer_run_with_its_quantized_weight(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    statistics = collect(model, images, labels, activation_images=4, seed=1)
    found = views_of(statistics, "output_change")
    assert statistics.layout("ActivationsPerBit") == statistics.layout("Activations")
    evaluated = copy.deepcopy(model).eval()
    kept = images[kept_images(10, 4, 1)]
    for (layer, fed, given), change in zip(fed_and_given(evaluated, kept), found, strict=True):
        for place, width in enumerate(BITS):
            moved = copy.deepcopy(layer)
            moved.weight.data = quantized(layer.weight.data, width)
            torch.testing.assert_close(change[place], moved(fed) - given, rtol=1e-4, atol=1e-5)


def residual_of(change: np.ndarray, output: np.ndarray) -> np.ndarray:
    """By linear least squares, (channels, elements) each."""
    rows = []
    for moved, plain in zip(change, output, strict=True):
        columns = np.stack([plain, np.ones_like(plain)], axis=1)
        fit = np.linalg.lstsq(columns, plain + moved, rcond=None)[0]
        rows.append(plain + moved - columns @ fit)
    return np.stack(rows)


def by_channel(values: Tensor) -> np.ndarray:
    """(images, channels, ...) as (channels, elements)."""
    return values.detach().double().transpose(0, 1).flatten(1).numpy()


def test_output_residual_is_what_least_squares_leaves_of_each_channel(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    statistics = collect(model, images, labels, activation_images=6)
    changes, outputs = views_of(statistics, "output_change"), views_of(statistics, "activation")
    residuals = views_of(statistics, "output_residual")
    for change, output, residual in zip(changes, outputs, residuals, strict=True):
        for place in range(len(BITS)):
            expected = residual_of(by_channel(change[place]), by_channel(output))
            scale = np.abs(expected).max()
            np.testing.assert_allclose(by_channel(residual[place]), expected, atol=1e-5 * scale)


def test_what_batch_norm_undoes_leaves_no_residual() -> None:
    # Weights that are equal within a channel stay equal: the channel's output is scaled.
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3), nn.Flatten())
    network[0].weight.data = torch.tensor([[1.0, 1.0], [-2.0, -2.0], [0.4, 0.4]])[..., None, None]
    statistics = collect_statistics(
        network, torch.randn(5, 2, 4, 4), None, bits=(2,), quantizer=WeightQuantizer()
    )
    change, residual = (
        views_of(statistics, name)[0] for name in ("output_change", "output_residual")
    )
    assert float(change.abs().max()) > 0.05
    assert float(residual.abs().max()) < 1e-5


class Uneven(nn.Module):
    """Images differ in how much of them a layer sees, and channels come last in a product."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.product = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        answers = []
        for image in images.split(1):
            side = 5 if image.mean() > 0 else 7
            hidden = self.conv(image[..., :side, :side]).relu()
            tokens = hidden.flatten(2).transpose(1, 2)
            answers.append(self.product(tokens).mean(dim=1))
        return torch.cat(answers)


def test_channels_are_told_apart_where_images_differ_in_shape() -> None:
    torch.manual_seed(1)
    network, images = Uneven(), torch.randn(6, 1, 7, 7)
    statistics = collect(network, images, None)
    assert all(len(shape) == 1 for shape in statistics.layout("Activations").shapes)
    for name, weight, bias in (
        ("conv", network.conv.weight, network.conv.bias),
        ("product", network.product.weight, network.product.bias),
    ):
        place = [layer.name for layer in statistics.layers].index(name)
        outputs, changes = [], []
        for image in images.split(1):
            side = 5 if image.mean() > 0 else 7
            fed = image[..., :side, :side]
            if name == "product":
                fed = network.conv(fed).relu().flatten(2).transpose(1, 2)
            apply = functional.conv2d if name == "conv" else functional.linear
            coarse = quantized(weight.data, 2)
            given = apply(fed, weight, bias)
            change = apply(fed, coarse, bias) - given
            axes = (0, 2, 1) if name == "product" else (0, 1, 2, 3)
            outputs.append(given.permute(axes).flatten(2)[0])
            changes.append(change.permute(axes).flatten(2)[0])
        output, change = (
            torch.cat(parts, dim=1).detach().double().numpy() for parts in (outputs, changes)
        )
        expected = residual_of(change, output)
        found = views_of(statistics, "output_residual")[place][0].double()
        assert float(found.square().sum()) == pytest.approx((expected**2).sum(), rel=1e-4)
        assert float(found.abs().max()) == pytest.approx(np.abs(expected).max(), rel=1e-4)


def test_a_sample_cuts_the_same_places_of_what_has_widths(images: Tensor) -> None:
    network = nn.Sequential(nn.Conv2d(1, 20, 3), nn.ReLU(), nn.Conv2d(20, 10, 3), nn.Flatten())
    small = collect(network, images, None).subsample()
    plain = small.layout("Activations").views(small.tensor("activation"))
    moved = small.layout("ActivationsPerBit").views(small.tensor("output_change"))
    whole = collect(network, images, None)
    y = whole.layout("Activations").views(whole.tensor("activation"))
    d = whole.layout("ActivationsPerBit").views(whole.tensor("output_change"))
    for one, other, outputs, changes in zip(plain, moved, y, d, strict=True):
        assert other.shape == (2, *one.shape)
        pairs = dict(
            zip(outputs.reshape(-1).tolist(), changes[1].reshape(-1).tolist(), strict=True)
        )
        assert [pairs[value] for value in one.reshape(-1).tolist()] == other[1].reshape(-1).tolist()


@pytest.mark.parametrize("chunk", [1, 3, 128])
def test_sums_over_outputs_are_those_of_one_fit_over_all_images(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int
) -> None:
    statistics = collect(model, images, labels, chunk_images=chunk)
    evaluated = copy.deepcopy(model).eval()
    for entry, (layer, fed, given) in enumerate(fed_and_given(evaluated, images)):
        y = by_channel(given)
        for column, width in enumerate(BITS):
            moved = copy.deepcopy(layer)
            moved.weight.data = quantized(layer.weight.data, width)
            change = by_channel(moved(fed) - given)
            residual = residual_of(change, y)
            spread = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
            expected = {
                "output_change_energy": (change**2).sum() / 10,
                "output_residual_energy": (residual**2).sum() / 10,
                "relative_output_change": (change**2).sum() / (y**2).sum(),
                "relative_output_residual": (residual**2).sum() / (y**2).sum(),
                "channel_output_residual": ((residual**2).sum(axis=1) / spread).mean(),
            }
            for name, value in expected.items():
                found = float(statistics.tensor(name)[entry, column])
                assert found == pytest.approx(value, rel=1e-4), name


def test_an_output_of_no_spread_and_one_that_nothing_changes_count_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    network[0].weight.data = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    network[3].weight.data.zero_()
    statistics = collect(network, torch.randn(4, 1, 3, 3), None)
    for name in ("relative_output_change", "relative_output_residual", "channel_output_residual"):
        found = statistics.tensor(name)
        assert bool(found.isfinite().all())
        assert found[1].tolist() == [0, 0]


def test_curvature_form_is_the_diagonal_times_the_squared_perturbation(
    model: nn.Module, images: Tensor, labels: Tensor
) -> None:
    statistics = collect_statistics(
        model, images, labels, bits=BITS, ties=[("first", "second")], quantizer=WeightQuantizer()
    )
    diagonal = statistics.tensor("hessian_diagonal").double().abs()
    products = diagonal * statistics.perturbation().double().square()
    expected = torch.zeros(2, 2, dtype=torch.float64)
    entries = statistics.layout("Weights").entries
    for entry, view in zip(entries, statistics.layout("Weights").views(products), strict=True):
        expected[entry] += view.flatten(1).sum(1)
    torch.testing.assert_close(statistics.tensor("curvature_form"), expected)
