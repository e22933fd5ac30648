"""One scale for each group of values, against a loop over the groups in numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.networks import Granularity
from gp_emq.quantization import (
    QuantizationParameters,
    QuantizedWeight,
    WeightQuantizer,
    fake_quantize,
    integer_range,
    quantize,
)


def by_hand(weight, bits, group, *, symmetric):
    """Min-max grids of all groups: values, integers and scales, one group after the other."""
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    low, high = integer_range(bits, symmetric=symmetric)
    values, integers, scales = np.empty_like(rows), np.empty_like(rows), []
    for row in range(len(rows)):
        scales.append([])
        for start in range(0, rows.shape[1], group):
            part = slice(start, start + group)  # the last one ends with the row
            x = rows[row, part]
            least, most = min(x.min(), 0.0), max(x.max(), 0.0)
            span = 2 * max(-least, most) if symmetric else most - least
            scale = np.float32(span / (2**bits - 1)) if span else np.float32(1)
            zero = 0 if symmetric else np.clip(np.rint(-least / np.float64(scale)), low, high)
            ratio = (x.astype(np.float32) / scale).astype(np.float64)
            q = np.clip(np.rint(ratio) + zero, low, high)
            integers[row, part] = q
            values[row, part] = (q - zero).astype(np.float32) * scale
            scales[-1].append(scale)
    return values.reshape(weight.shape), integers.reshape(weight.shape), np.array(scales)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [2, 32, 64, 128])
@pytest.mark.parametrize("shape", [(5, 200), (4, 3, 5, 5), (3, 8, 33), (2, 256)])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_values_are_those_of_a_loop_over_groups(shape, group, bits, symmetric):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(bits))
    quantizer = WeightQuantizer(symmetric, True, "minmax", group)
    grid = quantizer.parameters(weight, bits)
    values, integers, scales = by_hand(weight.numpy(), bits, group, symmetric=symmetric)
    length = math.prod(shape[1:])
    assert scales.shape == (shape[0], math.ceil(length / group))
    assert np.array_equal(grid.scale.numpy().reshape(scales.shape), scales)
    assert grid.scale.numel() == quantizer.granularity.scales(shape)
    assert np.array_equal(quantize(weight, grid).numpy(), integers)
    assert np.array_equal(fake_quantize(weight, grid).numpy(), values.astype(np.float32))
    kept = QuantizedWeight(quantize(weight, grid).short(), grid)
    assert np.array_equal(kept.values().numpy(), values.astype(np.float32))


weights = st.tuples(st.integers(1, 5), st.integers(1, 70), st.integers(0, 10**6)).map(
    lambda found: torch.randn(found[:2], generator=torch.Generator().manual_seed(found[2]))
)
rules = st.sampled_from(["mse", "mse-shrunk", "minmax", "percentile"])


@settings(max_examples=40, deadline=None)
@given(weights, st.integers(2, 8), st.integers(0, 9), st.booleans(), rules)
def test_a_group_as_long_as_a_channel_is_the_channel(weight, bits, more, symmetric, rule):
    if weight.shape[1] < 2:
        more += 2
    grouped = WeightQuantizer(symmetric, True, rule, weight.shape[1] + more)
    channel = WeightQuantizer(symmetric, True, rule)
    ours, theirs = (of.parameters(weight, bits) for of in (grouped, channel))
    assert ours.group is None
    assert torch.equal(ours.scale, theirs.scale)
    assert torch.equal(ours.zero_point, theirs.zero_point)


@settings(max_examples=40, deadline=None)
@given(weights, st.integers(2, 6), st.integers(2, 40))
def test_the_least_error_of_groups_is_at_most_that_of_channels(weight, bits, group):
    errors = []
    for of in (group, None):
        grid = WeightQuantizer(per_channel=True, group=of).parameters(weight, bits)
        moved = fake_quantize(weight.double(), grid) - weight.double()
        errors.append(moved.square().sum(1))
    # A scale is rounded to float32 once it is found, which costs the square of its last digit.
    assert bool((errors[0] <= errors[1] * (1 + 1e-6) + 1e-12).all())


@settings(max_examples=40, deadline=None)
@given(weights, st.integers(2, 8), st.integers(2, 40), st.booleans())
def test_every_group_is_quantized_as_a_tensor_of_its_own(weight, bits, group, symmetric):
    grouped = WeightQuantizer(symmetric, True, "mse", group).parameters(weight, bits)
    values = fake_quantize(weight, grouped)
    alone = WeightQuantizer(symmetric)
    for row, rounded in zip(weight, values, strict=True):
        for part, found in zip(row.split(group), rounded.split(group), strict=True):
            assert torch.equal(fake_quantize(part, alone.parameters(part, bits)), found)


def test_sums_over_groups_undo_spreading():
    scale = torch.arange(1.0, 7.0).reshape(2, 3)
    grid = QuantizationParameters(scale, torch.zeros(2, 3), -8, 7, group=4)
    spread = grid.spread(scale, (2, 2, 5))
    assert spread.shape == (2, 2, 5)
    assert spread[0].flatten().tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 2
    assert grid.gather(torch.ones(2, 2, 5)).tolist() == [[4.0, 4.0, 2.0]] * 2


@pytest.mark.parametrize(
    ("text", "scales"), [("tensor", 1), ("channel", 6), ("group64", 6 * 4), ("group200", 6)]
)
def test_a_granularity_is_read_as_it_is_written(text, scales):
    found = Granularity.parse(text)
    assert str(found) == text
    assert found.scales((6, 8, 5, 5)) == scales


@pytest.mark.parametrize("text", ["", "group", "group0", "group1", "group-4", "64", "Group64"])
def test_other_texts_are_no_granularity(text):
    with pytest.raises(ValueError, match="must be tensor, channel, or a group such as group64"):
        Granularity.parse(text)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"group": 64}, "give per_channel=True with group=64"),
        ({"group": 1, "per_channel": True}, "2 or more values, not 1"),
        ({"group": 2.5, "per_channel": True}, "2 or more values, not 2.5"),
    ],
)
def test_a_wrong_group_is_refused(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        WeightQuantizer(**given)


def test_settings_without_groups_say_nothing_of_them():
    assert WeightQuantizer(per_channel=True).document() == {
        "symmetric": True, "per_channel": True, "scale_rule": "mse",
    }  # fmt: skip
    assert WeightQuantizer(per_channel=True, group=32).document()["group"] == 32
