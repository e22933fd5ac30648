"""Step sizes learn as the paper says: by hand, by finite differences, and as torch has it."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gp_emq.qat._learned_grid import LearnedGrid
from gp_emq.quantization import QuantizationParameters, WeightQuantizer, fake_quantize


def grid(scale, zero_point=0.0, low=-4, high=3) -> QuantizationParameters:
    scale = torch.as_tensor(scale, dtype=torch.float32)
    return QuantizationParameters(scale, torch.full_like(scale, zero_point), low, high)


def gradients(learned: LearnedGrid, x: Tensor, towards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output, and the gradients by values and step of its product with a tensor."""
    values = x.clone().requires_grad_()
    output = learned(values)
    output.backward(towards)
    return output.detach(), values.grad, learned.step.grad


def test_gradients_of_a_signed_grid_by_hand() -> None:
    # v = x / 0.5 = -6, -1.6, 0.4, 2.2, 7 on the integers -4 to 3.
    x = torch.tensor([-3.0, -0.8, 0.2, 1.1, 3.5])
    output, by_values, by_step = gradients(LearnedGrid(grid(0.5), batched=False), x, torch.ones(5))
    torch.testing.assert_close(output, torch.tensor([-2.0, -1.0, 0.0, 1.0, 1.5]))
    torch.testing.assert_close(by_values, torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0]))
    # Equation 3: -4, -2 + 1.6, 0 - 0.4, 2 - 2.2, 3; then 1 / sqrt(5 values * 3).
    expected = (-4 - 0.4 - 0.4 - 0.2 + 3) / math.sqrt(15)
    assert float(by_step) == pytest.approx(expected, rel=1e-5)


def test_the_number_of_values_is_that_of_one_image_for_activations() -> None:
    start = grid(0.5, low=0, high=255)
    assert LearnedGrid(start, batched=True).gradient_factor(torch.zeros(7, 3, 4)) == pytest.approx(
        1 / math.sqrt(3 * 4 * 255)
    )
    channels = grid([[0.5], [0.25]])
    assert LearnedGrid(channels, batched=False).gradient_factor(torch.zeros(2, 9)) == (
        pytest.approx(1 / math.sqrt(9 * 3))
    )


def clear_of_bounds(x: Tensor, step: Tensor | float, low: int, high: int) -> Tensor:
    """Replace what rounds to a bound from beyond it: the paper clips first, torch rounds first."""
    v = x / step
    near = ((v > high) & (v < high + 0.5)) | ((v < low) & (v > low - 0.5))
    return torch.where(near, 1.3 * step, x)


@pytest.mark.parametrize(("low", "high", "zero_point"), [(-4, 3, 0), (0, 15, 5), (0, 255, 0)])
def test_gradients_per_tensor_are_those_of_torch(low: int, high: int, zero_point: int) -> None:
    generator = torch.Generator().manual_seed(low + high)
    x, towards = torch.randn(2, 4, 50, generator=generator)
    x = clear_of_bounds(x, 0.17, low - zero_point, high - zero_point)
    learned = LearnedGrid(grid(0.17, zero_point, low, high), batched=False)
    found = gradients(learned, x, towards)
    reference, step = x.clone().requires_grad_(), torch.tensor([0.17], requires_grad=True)
    output = torch._fake_quantize_learnable_per_tensor_affine(
        reference, step, torch.tensor([float(zero_point)]), low, high, learned.gradient_factor(x)
    )
    output.backward(towards)
    for mine, theirs in zip(found, (output, reference.grad, step.grad[0]), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_gradients_per_channel_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    x, towards = torch.randn(2, 3, 4, 2, 2, generator=generator)
    steps = torch.tensor([0.1, 0.4, 0.9])
    x = clear_of_bounds(x, steps.reshape(3, 1, 1, 1), -4, 3)
    learned = LearnedGrid(grid(steps.reshape(3, 1, 1, 1)), batched=False)
    found = gradients(learned, x, towards)
    reference, step = x.clone().requires_grad_(), steps.clone().requires_grad_()
    output = torch._fake_quantize_learnable_per_channel_affine(
        reference, step, torch.zeros(3), 0, -4, 3, learned.gradient_factor(x)
    )
    output.backward(towards)
    expected = (output, reference.grad, step.grad.reshape(3, 1, 1, 1))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_step_gradient_is_that_of_the_straight_through_surrogate() -> None:
    """Rounding passes through as if it added a constant: differentiate that numerically."""
    x = torch.linspace(-2.2, 2.2, 23, dtype=torch.float64)
    towards = torch.cos(3 * x)
    at, low, high = 0.37, -4.0, 3.0
    offset = (x / at).round() - x / at

    def surrogate(step: float) -> float:
        inside = step * (x / step + offset)
        scaled = x / at
        result = torch.where(
            scaled <= low, step * low, torch.where(scaled >= high, step * high, inside)
        )
        return float((result * towards).sum())

    numeric = (surrogate(at + 1e-6) - surrogate(at - 1e-6)) / 2e-6
    learned = LearnedGrid(grid(at), batched=False)
    *_, by_step = gradients(learned, x.float(), towards.float())
    assert float(by_step) / learned.gradient_factor(x) == pytest.approx(numeric, rel=1e-4)


@pytest.mark.parametrize("per_channel", [False, True])
def test_values_are_those_of_the_quantizer(per_channel: bool) -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    start = WeightQuantizer(per_channel=per_channel).parameters(weight, 3)
    learned = LearnedGrid(start, batched=False)
    assert torch.equal(learned(weight), fake_quantize(weight, start))
    with torch.no_grad():
        assert torch.equal(learned(weight), fake_quantize(weight, start))


def test_a_step_stays_positive() -> None:
    learned = LearnedGrid(grid([0.5, 0.25]), batched=False)
    with torch.no_grad():
        learned.step.copy_(torch.tensor([-1.0, 0.3]))
    learned.keep_positive()
    torch.testing.assert_close(learned.step.detach(), torch.tensor([0.0005, 0.3]))


def test_half_precision_is_rounded_in_full() -> None:
    # 200.3 / 0.1 is no number of bfloat16, which has 8 bits for all digits.
    x = torch.tensor([3.3], dtype=torch.bfloat16)
    output = LearnedGrid(grid(0.1, low=0, high=255), batched=True)(x)
    assert output.dtype == torch.float32
    assert output.item() == pytest.approx(0.1 * round(float(x) / 0.1))


def test_copies_have_grids_of_their_own() -> None:
    layer = nn.Linear(3, 2)
    parametrize.register_parametrization(layer, "weight", LearnedGrid(grid(0.1), batched=False))
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.parametrizations.weight[0].step.fill_(0.2)
    assert layer.parametrizations.weight[0].step.item() == pytest.approx(0.1)


def test_gradients_of_groups_are_those_of_every_group_alone() -> None:
    """Rows of 2 · 5 values in groups of 4, 4 and 2, against torch's own operator on each."""
    generator = torch.Generator().manual_seed(0)
    x, towards = torch.randn(2, 3, 2, 5, generator=generator)
    steps = torch.rand(3, 3, generator=generator) / 2 + 0.1
    start = QuantizationParameters(steps, torch.zeros(3, 3), -4, 3, group=4)
    x = clear_of_bounds(x, start.spread(steps, x.shape), -4, 3)
    learned = LearnedGrid(start, batched=False)
    output, by_value, by_step = gradients(learned, x, towards)
    assert learned.gradient_factor(x) == pytest.approx(1 / (3 * 3) ** 0.5)  # 30 values, 9 steps
    for row in range(3):
        for place, part in enumerate([slice(0, 4), slice(4, 8), slice(8, 10)]):
            alone = x[row].flatten()[part].clone().requires_grad_()
            step = steps[row, place].reshape(1).clone().requires_grad_()
            expected = torch._fake_quantize_learnable_per_tensor_affine(
                alone, step, torch.zeros(1), -4, 3, learned.gradient_factor(x)
            )
            expected.backward(towards[row].flatten()[part])
            torch.testing.assert_close(output[row].flatten()[part], expected)
            torch.testing.assert_close(by_value[row].flatten()[part], alone.grad)
            torch.testing.assert_close(by_step[row, place], step.grad[0])
