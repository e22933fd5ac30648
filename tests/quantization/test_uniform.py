import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.quantization import (
    QuantizationParameters,
    WeightQuantizer,
    fake_quantize,
    integer_range,
    quantize,
)

values = st.lists(
    st.floats(-100, 100, width=32, allow_subnormal=False), min_size=1, max_size=40
).map(lambda numbers: torch.tensor(numbers, dtype=torch.float32))


def grid(scale, zero_point, low, high):
    return QuantizationParameters(torch.tensor(scale), torch.tensor(zero_point), low, high)


def test_ranges():
    assert [integer_range(b, symmetric=True) for b in (2, 3, 8)] == [(-2, 1), (-4, 3), (-128, 127)]
    assert [integer_range(b, symmetric=False) for b in (2, 3, 8)] == [(0, 3), (0, 7), (0, 255)]


@pytest.mark.parametrize("bits", [1, 9, 0])
def test_widths_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match="bits must be 2 to 8"):
        integer_range(bits, symmetric=True)


def test_halves_round_to_even_and_the_rest_saturates():
    x = torch.tensor([0.25, 0.75, -0.25, -0.75, 9.0, -9.0])
    parameters = grid(0.5, 0.0, -4, 3)
    # In units of the scale: 0.5, 1.5, -0.5, -1.5, 18, -18.
    assert quantize(x, parameters).tolist() == [0, 2, 0, -2, 3, -4]
    assert fake_quantize(x, parameters).tolist() == [0, 1.0, 0, -1.0, 1.5, -2.0]


@given(values, st.sampled_from([2.0**-k for k in range(6)]), st.integers(2, 8), st.booleans())
def test_agrees_to_the_bit_with_torch(x, scale, bits, symmetric):
    # With a power of two torch's product by the inverse scale is exactly our quotient.
    low, high = integer_range(bits, symmetric=symmetric)
    zero_point = 0 if symmetric else high // 3
    ours = fake_quantize(x, grid(scale, float(zero_point), low, high))
    theirs = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, low, high)
    assert torch.equal(ours, theirs)


@given(st.integers(0, 2**31), st.integers(2, 8))
def test_agrees_to_the_bit_with_torch_per_channel(seed, bits):
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed))
    scale = torch.tensor([0.5, 0.125, 0.0625])
    low, high = integer_range(bits, symmetric=True)
    zeros = torch.zeros(3)
    ours = fake_quantize(x, QuantizationParameters(scale[:, None], zeros[:, None], low, high))
    theirs = torch.fake_quantize_per_channel_affine(x, scale, zeros.int(), 0, low, high)
    assert torch.equal(ours, theirs)


@given(values, st.floats(2**-7, 10, width=32), st.integers(2, 8))
def test_laws_of_the_quantizer(x, scale, bits):
    low, high = integer_range(bits, symmetric=True)
    parameters = grid(scale, 0.0, low, high)
    q = fake_quantize(x, parameters)
    assert torch.equal(fake_quantize(q, parameters), q)
    inside = x.clamp(low * parameters.scale, high * parameters.scale)
    assert ((q - inside).abs() <= parameters.scale * 0.5001).all()
    order = x.argsort()
    assert (q[order].diff() >= 0).all()


def test_the_input_is_left_alone():
    x = torch.tensor([0.3, 0.7], requires_grad=True)
    before = x.detach().clone()
    result = fake_quantize(x, grid(0.5, 0.0, -2, 1))
    assert torch.equal(x.detach(), before)
    assert not result.requires_grad


def test_agrees_with_a_loop_in_double_precision():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(6, 4, 3, 3)).astype(np.float32)
    for quantizer in (WeightQuantizer(), WeightQuantizer(symmetric=False, per_channel=True)):
        p = quantizer.parameters(torch.from_numpy(weight), 3)
        ours = fake_quantize(torch.from_numpy(weight), p).numpy()
        scale = np.broadcast_to(p.scale.numpy(), weight.shape)
        zero = np.broadcast_to(p.zero_point.numpy(), weight.shape)
        for place in np.ndindex(weight.shape):
            q = np.rint(float(weight[place]) / float(scale[place])) + zero[place]
            expected = (min(max(q, p.quant_min), p.quant_max) - zero[place]) * scale[place]
            assert ours[place] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_every_kind_of_float_is_rounded_as_its_values_are(dtype, symmetric, per_channel):
    weight = torch.randn(5, 200, generator=torch.Generator().manual_seed(0)).to(dtype)
    quantizer = WeightQuantizer(symmetric=symmetric, per_channel=per_channel)
    for bits in (4, 8):
        p = quantizer.parameters(weight, bits)
        x = weight.double().numpy()
        scale, zero = p.scale.double().numpy(), p.zero_point.double().numpy()
        integers = np.clip(np.rint(x / scale) + zero, p.quant_min, p.quant_max)
        found = quantize(weight, p)
        assert found.dtype == dtype
        assert np.array_equal(found.double().numpy(), integers)
        expected = torch.from_numpy((integers - zero) * scale).to(dtype)
        assert fake_quantize(weight, p).dtype == dtype
        torch.testing.assert_close(fake_quantize(weight, p), expected, rtol=2e-7, atol=0)
