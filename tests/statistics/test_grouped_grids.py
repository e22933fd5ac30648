"""Statistics of weights whose scales are of groups."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gp_emq.quantization import WeightQuantizer, fake_quantize
from gp_emq.statistics import Statistics, collect_statistics

BITS = (2, 3, 4)
LAYERS = ("first", "second", "last")


def collect(
    model: nn.Module, images: Tensor, group: int, *, symmetric: bool = True, **options: object
) -> Statistics:
    quantizer = WeightQuantizer(symmetric, per_channel=True, scale_rule="minmax", group=group)
    return collect_statistics(model, images, None, bits=BITS, quantizer=quantizer, **options)


def moved(weight: np.ndarray, bits: int, group: int) -> np.ndarray:
    """What rounding does to a weight, a group at a time; symmetric min-max grids."""
    rows = weight.reshape(len(weight), -1)
    change = np.empty_like(rows)
    for row in range(len(rows)):
        for start in range(0, rows.shape[1], group):
            x = rows[row, start : start + group]
            span = 2 * float(np.abs(x).max())
            scale = np.float32(span / (2**bits - 1)) if span else np.float32(1)
            q = np.clip(np.rint(x / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            change[row, start : start + group] = q * scale - x
    return change.reshape(weight.shape)


@pytest.mark.parametrize("group", [2, 4, 7, 100])
def test_the_perturbation_is_that_of_each_group(
    model: nn.Module, images: Tensor, group: int
) -> None:
    statistics = collect(model, images, group)
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    for place, (name, found) in enumerate(zip(LAYERS, views, strict=True)):
        weight = model.get_submodule(name).weight.detach().numpy()
        for index, bits in enumerate(BITS):
            expected = moved(weight, bits, group)
            assert np.array_equal(found[index].numpy(), expected)
            assert float(statistics.tensor("quantization_mse")[place, index]) == pytest.approx(
                float(np.square(expected.astype(np.float64)).mean()), rel=1e-12
            )


@pytest.mark.parametrize("symmetric", [False, True])
def test_any_range_is_a_slice_of_the_whole(
    model: nn.Module, images: Tensor, symmetric: bool
) -> None:
    statistics = collect(model, images, 4, symmetric=symmetric)
    whole = statistics.perturbation()
    for start, stop in [(0, 5), (3, 40), (30, 120), (119, 120), (37, 38), (7, 7)]:
        assert torch.equal(statistics.perturbation(start, stop), whole[:, start:stop])


def test_a_sample_has_the_perturbation_of_its_elements(images: Tensor) -> None:
    torch.manual_seed(3)
    wide = nn.Sequential(
        nn.Conv2d(1, 20, 3), nn.ReLU(), nn.Conv2d(20, 12, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    statistics = collect(wide, images[:, :1], 8)
    sample = statistics.subsample()
    kept = sample.layout("WeightsPerBit").views(sample.perturbation())
    weights = sample.layout("Weights").views(sample.tensor("weight"))
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    originals = statistics.layout("Weights").views(statistics.tensor("weight"))
    for cut, change, whole, weight in zip(kept, weights, views, originals, strict=True):
        # Every element of the sample moves as the one of the whole that has its value.
        places = {float(value): place for place, value in enumerate(weight.flatten())}
        assert len(places) == weight.numel()
        chosen = [places[float(value)] for value in change.flatten()]
        assert torch.equal(cut.flatten(1), whole.flatten(1)[:, chosen])
    assert sum(view.numel() for view in weights) < statistics.tensor("weight").numel()


def test_rescaled_statistics_have_rescaled_groups(model: nn.Module, images: Tensor) -> None:
    statistics = collect(model, images, 4)
    factors = torch.tensor([2.0, 4.0, 0.5], dtype=torch.float64)
    rescaled = statistics.rescaled(factors)
    layout = statistics.layout("WeightsPerBit")
    before = layout.views(statistics.perturbation())
    after = layout.views(rescaled.perturbation())
    for one, other, factor in zip(before, after, factors, strict=True):
        assert torch.equal(other, one * float(factor))


def test_groups_come_back_from_the_disk(model: nn.Module, images: Tensor, tmp_path) -> None:
    fresh = collect(model, images, 4, cache=tmp_path).perturbation()
    again = collect(model, images, 4, cache=tmp_path).perturbation()
    channels = collect(model, images, 10**6, cache=tmp_path).perturbation()
    assert torch.equal(fresh, again)
    assert not torch.equal(fresh, channels)


def test_groups_as_long_as_channels_are_the_channels(model: nn.Module, images: Tensor) -> None:
    statistics = collect(model, images, 10**6)
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    quantizer = WeightQuantizer(per_channel=True, scale_rule="minmax")
    for name, found in zip(LAYERS, views, strict=True):
        weight = model.get_submodule(name).weight.detach()
        for index, bits in enumerate(BITS):
            expected = fake_quantize(weight, quantizer.parameters(weight, bits)) - weight
            assert torch.equal(found[index], expected)
