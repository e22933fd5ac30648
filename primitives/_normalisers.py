"""Operators that need a whole layer before they can give one element.

On a layer's tensor softmax and log-softmax run over the first axis (output channels, or images
of an activation), z-normalise and min-max over the whole layer. On a `LayerVector` all run
across entries, on a `BitTable` over the whole table. The evaluator hands each function one such
tensor at a time.
"""

from functools import partial

import torch

from primitives import _scaling, _terms
from primitives._accumulators import Extreme, Spread, sums
from primitives._affine import AffineNormaliser
from primitives._operator import Operator, Role

_normaliser = partial(Operator, arity=1, kind=Role.NORMALISER)


def _first_axis_softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, dim=0) if x.ndim else torch.ones_like(x)


def _first_axis_log_softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(x, dim=0) if x.ndim else torch.zeros_like(x)


def _z_normalise(x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean()
    return centred / centred.square().mean().sqrt()


def _min_max(x: torch.Tensor) -> torch.Tensor:
    low, high = torch.aminmax(x)
    return (x - low) / (high - low)


NORMALISERS: tuple[Operator, ...] = (
    _normaliser("softmax", function=_first_axis_softmax, formula="eˣ / Σ eˣ over the first axis",
                scaling=_scaling.softened,
                template="softmax({0})", non_negative=True,
                constant_under=("mean", "sum", "l1_mean")),
    _normaliser("log_softmax", function=_first_axis_log_softmax,
                scaling=_scaling.softened,
                formula="x − log Σ eˣ over the first axis", template="log softmax({0})"),
    _normaliser("z_normalise", function=_z_normalise, formula="(x − mean x) / std x",
                scaling=_scaling.normalised,
                template="z({0})", idempotent=True, odd=True,
                identities=("z_normalise(scaled(x, c)) = z_normalise(x)",),
                constant_under=("mean", "sum", "variance", "standard_deviation", "frobenius_norm"),
                affine=AffineNormaliser(
                    sums(_terms.itself, _terms.mean), partial(Spread, root=True),
                    lambda _, deviation: deviation)),
    _normaliser("min_max", function=_min_max, formula="(x − min x) / (max x − min x)",
                scaling=_scaling.normalised,
                template="minmax({0})", idempotent=True, non_negative=True,
                identities=("min_max(scaled(x, c)) = min_max(x)",),
                constant_under=("minimum", "maximum"),
                affine=AffineNormaliser(
                    partial(Extreme, largest=False), partial(Extreme, largest=True),
                    lambda low, high: high - low)),
)  # fmt: skip
"""The operators that keep the shape but look at the whole layer."""
