import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.quantization import (
    SCALE_RULES,
    ActivationQuantizer,
    WeightQuantizer,
    fake_quantize,
)


def weights(seed, shape=(6, 5, 3, 3)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_minmax_agrees_with_torchs_observer_per_tensor(bits):
    observers = pytest.importorskip("torch.ao.quantization.observer")
    weight = weights(0)
    for symmetric in (True, False):
        low, high = (
            (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if symmetric else (0, (1 << bits) - 1)
        )
        observer = observers.MinMaxObserver(
            dtype=torch.qint8 if symmetric else torch.quint8,
            qscheme=torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine,
            quant_min=low,
            quant_max=high,
        )
        observer(weight)
        scale, zero_point = observer.calculate_qparams()
        ours = WeightQuantizer(symmetric=symmetric, scale_rule="minmax").parameters(weight, bits)
        assert float(ours.scale) == pytest.approx(float(scale), rel=1e-6)
        assert float(ours.zero_point) == float(zero_point)
        assert ours.scale.shape == ()


def test_minmax_agrees_with_torchs_observer_per_channel():
    observers = pytest.importorskip("torch.ao.quantization.observer")
    weight = weights(1)
    observer = observers.PerChannelMinMaxObserver(
        ch_axis=0, dtype=torch.quint8, qscheme=torch.per_channel_affine, quant_min=0, quant_max=15
    )
    observer(weight)
    scale, zero_point = observer.calculate_qparams()
    quantizer = WeightQuantizer(symmetric=False, per_channel=True, scale_rule="minmax")
    ours = quantizer.parameters(weight, 4)
    assert ours.scale.shape == (6, 1, 1, 1)
    torch.testing.assert_close(ours.scale.flatten(), scale.float(), rtol=1e-6, atol=0)
    assert torch.equal(ours.zero_point.flatten(), zero_point.float())


def test_zero_is_always_on_an_asymmetric_grid():
    weight = weights(2).abs() + 3
    parameters = WeightQuantizer(symmetric=False).parameters(weight, 2)
    assert float(fake_quantize(torch.zeros(1), parameters)) == 0


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_mse_shrunk_is_as_good_as_a_dense_search_below_the_whole_range(bits, symmetric):
    weight = weights(bits)
    quantizer = WeightQuantizer(symmetric=symmetric, scale_rule="mse-shrunk")
    chosen = quantizer.parameters(weight, bits)
    x = weight.double().numpy().ravel()
    low, high = x.min(), x.max()

    def error(factor):
        if symmetric:
            scale, zero = factor * 2 * max(-low, high) / ((1 << bits) - 1), 0
            q_min, q_max = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        else:
            scale = factor * (high - low) / ((1 << bits) - 1)
            zero, q_min, q_max = np.rint(-factor * low / scale), 0, (1 << bits) - 1
        q = np.clip(np.rint(x / scale) + zero, q_min, q_max)
        return ((q - zero) * scale - x) @ ((q - zero) * scale - x)

    best = min(error(f) for f in np.linspace(0.02, 1, 2000))
    found = float((fake_quantize(weight, chosen) - weight).double().square().sum())
    assert found <= best * 1.01


@given(st.integers(0, 2**31), st.integers(2, 8), st.booleans(), st.booleans())
def test_mse_is_never_worse_than_another_rule(seed, bits, symmetric, per_channel):
    weight = weights(seed, (3, 4))

    def error(rule):
        quantizer = WeightQuantizer(symmetric=symmetric, per_channel=per_channel, scale_rule=rule)
        rounded = fake_quantize(weight, quantizer.parameters(weight, bits))
        return float((rounded - weight).double().square().sum())

    for rule in ("minmax", "percentile", "mse-shrunk"):
        assert error("mse") <= error(rule) * (1 + 1e-6)


def test_scales_follow_the_weights_by_powers_of_two():
    weight = weights(5)
    for rule in SCALE_RULES:
        quantizer = WeightQuantizer(scale_rule=rule)
        small, large = quantizer.parameters(weight, 3), quantizer.parameters(weight * 8, 3)
        assert float(large.scale) == 8 * float(small.scale)


def test_scales_do_not_depend_on_the_number_of_threads():
    weight = weights(6, (64, 64, 3, 3))
    before = torch.get_num_threads()
    found = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.add(float(WeightQuantizer().parameters(weight, 3).scale))
    torch.set_num_threads(before)
    assert len(found) == 1


def test_percentile_takes_the_nearest_rank():
    # 1001 values 0 to 1000: the 99.9th percentile is exactly the value 999.
    weight = torch.arange(1001.0)[torch.randperm(1001, generator=torch.Generator().manual_seed(0))]
    parameters = WeightQuantizer(scale_rule="percentile").parameters(weight[None], 3)
    assert float(parameters.scale) == pytest.approx(2 * 999 / 7)


def test_weights_that_are_all_zero_stay_zero():
    weight = torch.zeros(4, 2)
    for per_channel in (True, False):
        parameters = WeightQuantizer(per_channel=per_channel).parameters(weight, 2)
        assert torch.equal(fake_quantize(weight, parameters), weight)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="one of mse, minmax, percentile, mse-shrunk, not 'best'"):
        WeightQuantizer(scale_rule="best")
    with pytest.raises(ValueError, match="one of minmax, robust, percentile, mse, not 'best'"):
        ActivationQuantizer(scale_rule="best")
