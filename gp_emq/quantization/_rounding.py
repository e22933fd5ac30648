"""Learned rounding: whether each weight rounds up or down is optimized for the output.

AdaRound (Nagel et al. 2020) reconstructs one layer at a time, BRECQ (Li et al. 2021) one
block; the relaxation, its regularizer and its schedule are the same, as below.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gp_emq.determinism import one_thread
from gp_emq.quantization._quantized_network import QuantizedWeight
from gp_emq.quantization._uniform import QuantizationParameters, in_full_precision, quantize

# The stretched sigmoid of Louizos et al. 2018, which reaches 0 and 1.
STRETCH_LOW, STRETCH_HIGH = -0.1, 1.1


@dataclass(frozen=True)
class RoundingSettings:
    """How rounding is learned; the defaults are those of BRECQ's code.

    Attributes:
        iterations: steps of Adam. Its rate is 1e-3 for the published 20,000 and rises as
            they get fewer, to 1e-2 at most.
        batch: images of one step.
        weight: of the regularizer that pushes every decision to 0 or 1.
        warm_up: share of the steps without the regularizer.
        temperatures: of the regularizer, at its begin and end.
        seed: of the order of images.
        relative: measure errors against the mean square of the outputs to keep, so that neither
            the regularizer nor Adam's epsilon depends on how large they are; BRECQ's code takes
            them as they are, which is the same where they have a mean square of 1.
    """

    iterations: int = 20_000
    batch: int = 32
    weight: float = 0.01
    warm_up: float = 0.2
    temperatures: tuple[float, float] = (20.0, 2.0)
    seed: int = 0
    relative: bool = True

    @property
    def learning_rate(self) -> float:
        """Rate of Adam."""
        return max(1e-3, min(1e-2, 20 / max(self.iterations, 1)))

    def temperature(self, step: int) -> float | None:
        """Return the regularizer's temperature at a 0-based step, `None` in the warm-up."""
        start = self.warm_up * self.iterations
        if step < start:
            return None
        first, last = self.temperatures
        passed = (step - start) / max(self.iterations - start, 1)
        return last + (first - last) * max(0.0, 1.0 - passed)


class _SoftWeight:
    """A weight whose decisions to round up are relaxed to numbers between 0 and 1."""

    def __init__(self, weight: Tensor, parameters: QuantizationParameters) -> None:
        scaled = in_full_precision(weight.detach()) / parameters.scale
        self.parameters = parameters
        self._floor = scaled.floor()
        rest = (scaled - self._floor).clamp(0.0, 1.0)
        span = STRETCH_HIGH - STRETCH_LOW
        # Starts where the relaxed weight is the float one.
        self.logits = -torch.log(span / (rest - STRETCH_LOW) - 1)
        self.logits.requires_grad_()

    def decisions(self) -> Tensor:
        """Return how far each weight is rounded up, in [0, 1]."""
        span = STRETCH_HIGH - STRETCH_LOW
        return (torch.sigmoid(self.logits) * span + STRETCH_LOW).clamp(0, 1)

    def values(self) -> Tensor:
        """Return the relaxed weight, differentiable."""
        p = self.parameters
        q = (self._floor + self.decisions() + p.zero_point).clamp(p.quant_min, p.quant_max)
        return (q - p.zero_point) * p.scale

    def rounded(self) -> QuantizedWeight:
        """Return the weight with every decision taken."""
        p = self.parameters
        up = (self.logits.detach() >= 0).float()
        q = (self._floor + up + p.zero_point).clamp(p.quant_min, p.quant_max)
        return QuantizedWeight(q.to(torch.int16), p)


def learn_rounding(
    module: nn.Module,
    grids: Mapping[str, QuantizationParameters],
    inputs: Tensor,
    targets: Tensor,
    settings: RoundingSettings,
    *,
    step_done: Callable[[], None] | None = None,
) -> dict[str, QuantizedWeight]:
    """Round some weights of a module so that its output stays near the targets.

    Args:
        module: a layer or a block, a function of one tensor, in eval mode.
        grids: the grid of each weight to round, by the weight's name in the module.
        inputs: (n, ...).
        targets: (n, ...), the output to keep.
        settings: the optimization.
        step_done: called after every step.

    Returns:
        The rounded weights by name. Where learning did not come nearer to the targets than
        rounding to nearest, that is what is returned.
    """
    weights = {name: module.get_parameter(name).detach() for name in grids}
    nearest = {
        name: QuantizedWeight(quantize(weight, grids[name]).to(torch.int16), grids[name])
        for name, weight in weights.items()
    }
    with one_thread():
        soft = {name: _SoftWeight(weight, grids[name]) for name, weight in weights.items()}
        _optimize(module, soft, inputs, targets, settings, step_done=step_done)
        learned = {name: weight.rounded() for name, weight in soft.items()}
        errors = [
            reconstruction_error(module, candidate, inputs, targets, settings.batch)
            for candidate in (learned, nearest)
        ]
    return learned if errors[0] < errors[1] else nearest


def reconstruction_error(
    module: nn.Module,
    weights: Mapping[str, QuantizedWeight],
    inputs: Tensor,
    targets: Tensor,
    batch: int,
) -> float:
    """Return the squared error of a module's output, summed over all images."""
    values = {name: weight.values() for name, weight in weights.items()}
    total = 0.0
    with torch.no_grad():
        for x, y in zip(torch.split(inputs, batch), torch.split(targets, batch), strict=True):
            output = functional_call(module, values, (x,))
            total += float((output - y).double().square().sum())
    return total


def _optimize(
    module: nn.Module,
    soft: Mapping[str, _SoftWeight],
    inputs: Tensor,
    targets: Tensor,
    settings: RoundingSettings,
    *,
    step_done: Callable[[], None] | None,
) -> None:
    optimizer = torch.optim.Adam([s.logits for s in soft.values()], lr=settings.learning_rate)
    generator = torch.Generator().manual_seed(settings.seed)
    channels = _channel_axis(module, targets)
    unit = _unit(targets) if settings.relative else 1.0
    for step in range(settings.iterations):
        chosen = torch.randint(len(inputs), (settings.batch,), generator=generator)
        values = {name: weight.values() for name, weight in soft.items()}
        output = functional_call(module, values, (inputs[chosen],))
        error = ((output - targets[chosen]) / unit).square()
        # Summed over channels, averaged over images and positions, as in BRECQ.
        loss = error.sum() / (error.numel() / error.shape[channels])
        temperature = settings.temperature(step)
        if temperature is not None:
            loss = loss + settings.weight * sum(
                (1 - (2 * weight.decisions() - 1).abs().pow(temperature)).sum()
                for weight in soft.values()
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step_done is not None:
            step_done()
    for weight in soft.values():
        if not math.isfinite(float(weight.logits.detach().sum())):
            weight.logits = torch.zeros_like(weight.logits)


def _unit(targets: Tensor) -> float:
    """Return the root of the mean square, 1 where all is zero."""
    return math.sqrt(float(targets.double().square().mean())) or 1.0


def _channel_axis(module: nn.Module, output: Tensor) -> int:
    """Return the axis of the channels: the last of linear layers and of sequences of tokens."""
    return -1 if isinstance(module, nn.Linear) or output.dim() == 3 else 1
