"""Whether the derivatives that autograd gives are those of what the network computes.

Operations whose backward is another function than their derivative (straight-through
estimators), parts that are detached or run without gradients, and recomputation that loses the
way back to a weight all give wrong numbers in silence. Differences of neighbouring values show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gp_emq.errors import NetworkError, StatisticsError
from gp_emq.networks import Samples
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._seeds import DIRECTIONS, generator
from gp_emq.statistics._twice import DerivedTwice

_SLOPE_STEPS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
_CURVATURE_STEPS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
"""Steps relative to a weight's norm. The first is so short that hardly any ReLU switches within it,
the longer ones are for networks that compute in float32 within a pass in float64."""
_SHORT = 1e-6
"""Differences over steps as short as this must agree with each other to count against a product.

A deep network of many ReLUs has some that switch within any step; what they add to differences is
another for each step, and is no part of what autograd derives."""
_ATTEMPTS = 2
"""Directions that must fail before a derivative counts as wrong."""
_SLOPE_TOLERANCE, _CURVATURE_TOLERANCE = 1e-3, 1e-2
_BESIDE = 1e-2
"""How far from the weights they are compared, relative to a weight's norm."""
_PART = 1e-3
"""Share of the whole below which the curvature of one layer is not looked at."""


def check_gradients(network: FunctionalNetwork, images: Samples) -> None:
    """Hold the gradient by the weights to a central difference.

    Args:
        network: The network.
        images: (k, ...), a few images, run together.

    Raises:
        StatisticsError: They differ.
    """
    probe = _Probe.of(network, images)
    if probe is None:
        return
    try:
        gradients = probe.gradients(probe.weights)
    except RuntimeError:
        return  # what is computed again for the backward pass is so in float32
    for attempt in range(_ATTEMPTS):
        direction = probe.direction(attempt)
        terms = [
            float((one * other).sum()) for one, other in zip(gradients, direction, strict=True)
        ]
        allowed = _SLOPE_TOLERANCE * sum(map(abs, terms))
        slopes = []
        for step in _SLOPE_STEPS:
            ahead, behind = (probe.value(probe.moved(direction, sign * step)) for sign in (1, -1))
            slopes.append((ahead - behind) / (2 * step))
            noise = probe.noise / step
            if abs(slopes[-1] - sum(terms)) <= allowed + noise:
                return
    raise StatisticsError(
        f"the network's gradients are not what finite differences say ({sum(terms):.4g} along a "
        f"direction where its outputs change by {slopes[0]:.4g}): part of its forward is hidden "
        "from autograd, or rounded, as by a cast to half precision; use a proxy without gradients"
    )


def check_curvature(network: FunctionalNetwork, images: Samples) -> None:
    """Hold the product of the Hessian with a vector to differences of gradients.

    Args:
        network: The network.
        images: (k, ...), a few images, run together.

    Raises:
        StatisticsError: They differ, or a part of the network cannot be derived twice.
    """
    probe = _Probe.of(network, images)
    if probe is None:
        return
    for attempt in range(_ATTEMPTS):
        direction = probe.direction(attempt)
        try:
            here, product = probe.curvature(direction)
        except (RuntimeError, NotImplementedError) as error:
            raise StatisticsError(
                "the network cannot be derived twice "
                f"({(str(error).splitlines() or [''])[0]}); use a proxy without curvature"
            ) from error
        before: list[Tensor] | None = None
        is_smooth = False
        for step in _CURVATURE_STEPS:
            if step > _SHORT and not is_smooth:
                break  # no difference over a longer step could count against the product
            ahead = probe.gradients(probe.moved(direction, step))
            behind, length = here, step
            if step > _SHORT:  # over longer steps the slope itself changes
                behind, length = probe.gradients(probe.moved(direction, -step)), 2 * step
            slopes = [(one - other) / length for one, other in zip(ahead, behind, strict=True)]
            noise = probe.noise / step
            if _agree(product, slopes, noise):
                return
            if before is not None and step <= _SHORT:
                is_smooth |= _agree(before, slopes, noise)
            before = slopes
        if not is_smooth:
            return
    layer, found, expected = _worst(network, product, slopes)
    raise StatisticsError(
        f"the network's second derivatives are not what finite differences say (of layer "
        f"{layer!r}, a product of norm {found:.4g} instead of {expected:.4g}); use a proxy "
        "without curvature"
    )


def _agree(found: Sequence[Tensor], expected: Sequence[Tensor], noise: float) -> bool:
    whole = sum(float(value.square().sum()) for value in expected) ** 0.5
    return all(
        float((one - other).norm())
        <= _CURVATURE_TOLERANCE * (float(other.norm()) + _PART * whole) + noise
        for one, other in zip(found, expected, strict=True)
    )


def _worst(
    network: FunctionalNetwork, found: Sequence[Tensor], expected: Sequence[Tensor]
) -> tuple[str, float, float]:
    """Name of the layer where two products differ most, and their norms there."""
    differences = [float((one - other).norm()) for one, other in zip(found, expected, strict=True)]
    place = differences.index(max(differences))
    return (
        network.weight_layers[place].name,
        float(found[place].norm()),
        float(expected[place].norm()),
    )


def _noise(value: Tensor, stream: torch.Generator) -> Tensor:
    """A random tensor of norm 1 of the shape of another."""
    noise = torch.randn(value.shape, generator=stream, dtype=torch.float64).to(value)
    result: Tensor = noise / noise.norm()
    return result


@dataclass(frozen=True)
class _Probe:
    """A smooth number made of the network's outputs, as a function of its weights in float64.

    It stands for the loss, whose derivatives vanish where the network is sure of its answers.
    """

    network: FunctionalNetwork
    images: Samples
    weights: list[Tensor]
    along: Tensor
    scale: float

    @classmethod
    def of(cls, network: FunctionalNetwork, images: Samples) -> "_Probe | None":
        """Make a probe; None where the network takes no float64, which leaves too few digits.

        None, too, where its outputs are not finite, as then the statistics are not, either.
        """
        stream = generator(0, DIRECTIONS)
        # Beside the weights, since derivatives jump at them where a weight is zero.
        weights = [
            value + _BESIDE * _noise(value, stream) * (float(value.norm()) or 1.0)
            for value in (value.detach().double() for value in network.weights())
        ]
        try:
            with torch.no_grad():
                logits = network.logits(weights, images, dtype=torch.float64)
        except NetworkError:
            return None
        if not bool(logits.isfinite().all()):
            return None
        along = torch.randn(logits.shape, generator=stream).to(logits)
        scale = float(logits.detach().abs().max()) or 1.0
        return cls(network, images, weights, along, scale)

    @cached_property
    def norms(self) -> list[float]:
        """The weights' norms, the unit that each is measured in."""
        return [float(value.norm()) or 1.0 for value in self.weights]

    @property
    def noise(self) -> float:
        """What rounding may change in the value."""
        return 1e-14 * self.along.numel()

    def direction(self, index: int) -> list[Tensor]:
        """A random direction of norm 1 for every weight, which stands for the weight's norm."""
        stream = generator(0, DIRECTIONS, 1 + index)
        return [_noise(value, stream) for value in self.weights]

    def moved(self, direction: Sequence[Tensor], step: float) -> list[Tensor]:
        """The weights, moved along a direction."""
        return [
            value + step * norm * change
            for value, norm, change in zip(self.weights, self.norms, direction, strict=True)
        ]

    def value(self, weights: Sequence[Tensor]) -> float:
        """The number."""
        with torch.no_grad():
            return float(self._run(weights))

    def gradients(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """Its gradient, by the weights in units of their norms."""
        leaves = [value.detach().requires_grad_() for value in weights]
        return self._derived(self._run(leaves), leaves)

    def curvature(self, direction: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Its gradient, and the product of its Hessian with a direction, in the same units."""
        leaves = [value.detach().requires_grad_() for value in self.weights]
        with DerivedTwice():
            gradients = torch.autograd.grad(
                self._run(leaves), leaves, create_graph=True, materialize_grads=True
            )
            terms = [
                norm * (one * other).sum()
                for norm, one, other in zip(self.norms, gradients, direction, strict=True)
            ]
            here = [norm * one.detach() for norm, one in zip(self.norms, gradients, strict=True)]
            return here, self._derived(torch.stack(terms).sum(), leaves)

    def _derived(self, value: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
        if not value.requires_grad:
            return [torch.zeros_like(leaf) for leaf in leaves]
        found = torch.autograd.grad(value, leaves, materialize_grads=True)
        return [norm * one for norm, one in zip(self.norms, found, strict=True)]

    def _run(self, weights: Sequence[Tensor]) -> Tensor:
        logits = self.network.logits(weights, self.images, dtype=torch.float64).double()
        logits = logits / self.scale
        return (self.along * logits + logits.square() / 2).sum()
