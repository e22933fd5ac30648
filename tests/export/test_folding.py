import numpy as np
import pytest

from gp_emq.export._folding import fold

INPUT, OUTPUT = 0.5, 4.0


def folded(integers, scale, bias, output_scale=OUTPUT):
    return fold(
        np.array(integers, dtype=np.int32), np.array(scale), np.array(bias),
        input_scale=INPUT, output_scale=output_scale,
    )  # fmt: skip


def test_integers_of_narrow_grids_grow_and_their_scale_shrinks() -> None:
    # 64 // 7 is 9, 64 // 32 is 2; 65 has no room. The bias counts in steps of 0.5 times the scale.
    found = folded([[7, -3], [-32, 1], [65, 0]], [0.9, 0.2, 0.1], [1.0, -1.01, 0.026])
    np.testing.assert_array_equal(found.multipliers, [9, 2, 1])
    np.testing.assert_allclose(found.scale, [0.1, 0.1, 0.1])
    np.testing.assert_allclose(found.bias_scale, [0.05, 0.05, 0.05])
    np.testing.assert_array_equal(found.bias, [20, -20, 1])


def test_a_negative_scale_goes_into_the_integers() -> None:
    found = folded([[127, -127], [1, 0]], [-0.1, -0.64], [0.0, 0.0])
    np.testing.assert_array_equal(found.multipliers, [-1, -64])
    np.testing.assert_allclose(found.scale, [0.1, 0.01])
    # The negative of -128 is none of int8.
    assert folded([[-128, 1]], [0.1], [0.0]) is not None
    assert folded([[-128, 1]], [-0.1], [0.0]) is None


def test_a_channel_that_stands_still_has_a_bias_alone() -> None:
    found = folded([[5, 5], [0, 0], [9, 1]], [1e-12, 1.0, 0.0], [2.0, 3.5, 1e9])
    np.testing.assert_array_equal(found.multipliers, [0, 0, 0])
    values = found.bias * found.bias_scale.astype(np.float64)
    np.testing.assert_allclose(values[:2], [2.0, 3.5], atol=OUTPUT / 2048)
    # Far beyond the 255 steps of a grid, which end there.
    assert values[2] > 255 * OUTPUT


@pytest.mark.parametrize(
    ("integers", "scale", "bias"),
    [
        # Steps of 1.01 * 0.5, of more than an eighth of 4.
        ([[100, 1]], [1.01], [0.0]),
        # 300 is no integer of 8 bits.
        ([[300, 1]], [0.1], [0.0]),
        # A bias of 2^31 steps.
        ([[100, 1]], [2.0**-9], [2.0**21]),
        ([[100, 1]], [np.inf], [0.0]),
        ([[100, 1]], [np.nan], [0.0]),
        ([[100, 1]], [0.1], [np.nan]),
    ],
)
def test_what_does_not_fit_is_not_folded(integers, scale, bias) -> None:
    assert folded(integers, scale, bias) is None


def test_a_scale_too_small_for_float32_is_not_folded() -> None:
    assert folded([[100, 1]], [1e-42], [0.0], output_scale=1e-38) is None
