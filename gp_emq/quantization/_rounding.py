"""Learned rounding: whether each weight rounds up or down is optimized for the output.

AdaRound (Nagel et al. 2020) reconstructs one layer at a time, BRECQ (Li et al. 2021) one
block; the relaxation, its regularizer and its schedule are the same, as below.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gp_emq.networks import PrivateNetwork, gives_rows, undisturbed
from gp_emq.quantization._quantized_network import QuantizedWeight
from gp_emq.quantization._recording import Recording
from gp_emq.quantization._uniform import QuantizationParameters, in_full_precision, quantize

_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
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
        self.parameters = parameters
        self._scale, self._zero_point = (
            parameters.spread(of, weight.shape) for of in (parameters.scale, parameters.zero_point)
        )
        scaled = in_full_precision(weight.detach()) / self._scale
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
        q = (self._floor + self.decisions() + self._zero_point).clamp(p.quant_min, p.quant_max)
        return (q - self._zero_point) * self._scale

    def rounded(self) -> QuantizedWeight:
        """Return the weight with every decision taken."""
        p = self.parameters
        up = (self.logits.detach() >= 0).float()
        q = (self._floor + up + self._zero_point).clamp(p.quant_min, p.quant_max)
        return QuantizedWeight(q.to(torch.int16), p)


@dataclass(frozen=True)
class Reconstructed:
    """A module whose outputs are to be kept while weights are rounded.

    Attributes:
        module: a layer or a block of the network.
        weights: the key of each weight that is rounded, by its names in the module.
        recording: what the module is fed, and the outputs to keep.
        fixed: values of weights that are decided already, by their names in the module.
    """

    module: nn.Module
    weights: Mapping[str, str]
    recording: Recording
    fixed: Mapping[str, Tensor] = field(default_factory=dict)

    def outputs(
        self, network: PrivateNetwork, values: Mapping[str, Tensor], images: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give, of each call for some images, its output with other weights and that to keep."""
        given = {**self.fixed, **{name: values[key] for name, key in self.weights.items()}}
        for call in self.recording.calls(images):
            output = network.call(self.module, call.arguments, call.named, given)
            yield output.float(), call.output


def learn_rounding(
    network: PrivateNetwork,
    parts: Sequence[Reconstructed],
    weights: Mapping[str, tuple[Tensor, QuantizationParameters]],
    settings: RoundingSettings,
    *,
    step_done: Callable[[], None] | None = None,
) -> dict[str, QuantizedWeight]:
    """Round some weights so that the outputs of the modules that use them stay as they were.

    Args:
        network: the network that the modules are of.
        parts: the modules; several where layers share a weight.
        weights: each weight and its grid, by a key.
        settings: the optimization.
        step_done: called after every step.

    Returns:
        The rounded weights by key. Where learning did not come nearer to the outputs than
        rounding to nearest, or no image calls the modules, that is what is returned; so it is
        where all of them are embeddings, whose outputs are the weights themselves.
    """
    nearest = {
        key: QuantizedWeight(quantize(weight, grid).to(torch.int16), grid)
        for key, (weight, grid) in weights.items()
    }
    called = [part for part in parts if part.recording]
    if all(gives_rows(part.module) for part in called):
        for _ in range(settings.iterations if step_done is not None else 0):
            step_done()  # type: ignore[misc]
        return nearest
    with undisturbed():
        soft = {key: _SoftWeight(weight, grid) for key, (weight, grid) in weights.items()}
        _optimize(network, called, soft, settings, step_done=step_done)
        learned = {key: weight.rounded() for key, weight in soft.items()}
        errors = [
            reconstruction_error(network, called, candidate, settings.batch)
            for candidate in (learned, nearest)
        ]
    return learned if errors[0] < errors[1] else nearest


def reconstruction_error(
    network: PrivateNetwork,
    parts: Sequence[Reconstructed],
    weights: Mapping[str, QuantizedWeight],
    batch: int,
) -> float:
    """Return the squared error of the modules' outputs, summed over all images."""
    values = {key: weight.values() for key, weight in weights.items()}
    total = 0.0
    with torch.no_grad():
        for part in parts:
            for images in torch.split(torch.arange(len(part.recording)), batch):
                for output, kept in part.outputs(network, values, images):
                    total += float((output - kept).double().square().sum())
    return total


def _optimize(
    network: PrivateNetwork,
    parts: Sequence[Reconstructed],
    soft: Mapping[str, _SoftWeight],
    settings: RoundingSettings,
    *,
    step_done: Callable[[], None] | None,
) -> None:
    optimizer = torch.optim.Adam([s.logits for s in soft.values()], lr=settings.learning_rate)
    generator = torch.Generator().manual_seed(settings.seed)
    unit = _unit(parts) if settings.relative else 1.0
    for step in range(settings.iterations):
        values = {key: weight.values() for key, weight in soft.items()}
        total, places = torch.zeros(()), 0.0
        chosen: dict[int, Tensor] = {}
        for part in parts:
            count = len(part.recording)
            if count not in chosen:
                chosen[count] = _drawn(count, settings.batch, generator)
            for output, kept in part.outputs(network, values, chosen[count]):
                error = ((output - kept) / unit).square()
                total = total + error.sum()
                places += error.numel() / error.shape[channel_axis(part.module, kept)]
        if step_done is not None:
            step_done()
        if places == 0:
            continue  # none of these images calls the modules
        # Summed over channels, averaged over images and positions, as in BRECQ.
        loss = total / places
        temperature = settings.temperature(step)
        if temperature is not None:
            loss = loss + settings.weight * sum(
                (1 - (2 * weight.decisions() - 1).abs().pow(temperature)).sum()
                for weight in soft.values()
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for weight in soft.values():
        if not math.isfinite(float(weight.logits.detach().sum())):
            weight.logits = torch.zeros_like(weight.logits)


def _drawn(count: int, batch: int, generator: torch.Generator) -> Tensor:
    return torch.randint(count, (batch if count > 1 else 1,), generator=generator)


def _unit(parts: Sequence[Reconstructed]) -> float:
    """Return the root of the mean square of the outputs to keep, 1 where all are zero."""
    squares, count = 0.0, 0
    for part in parts:
        for call in part.recording.calls(torch.arange(len(part.recording))):
            squares += float(call.output.double().square().sum())
            count += call.output.numel()
    return math.sqrt(squares / max(count, 1)) or 1.0


def channel_axis(module: nn.Module, output: Tensor) -> int:
    """Return the axis of the channels: the last of products, embeddings and token sequences."""
    if isinstance(module, _CONVOLUTIONS):
        return output.dim() + 1 - module.weight.dim()
    of_rows = isinstance(module, (nn.Linear, nn.Embedding))
    return -1 if of_rows or output.dim() in {1, 3} else 1
