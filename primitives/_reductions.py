"""Operators that turn a layer's tensor, or two of them, into one number per entry.

Each works over the last axis and is handed float64; over tied layers it sees the elements of
all of them as one row, so that sums add and means weight by elements.
"""

from functools import partial

import torch

from primitives import _scaling, _terms
from primitives._accumulators import Divergence, Extreme, Spread, sums
from primitives._operator import Operator, Role

_reduction = partial(Operator, arity=1, kind=Role.REDUCTION)
_comparison = partial(Operator, arity=2, kind=Role.REDUCTION)


def _variance(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(-1, keepdim=True)).square().mean(-1)


def _standard_deviation(x: torch.Tensor) -> torch.Tensor:
    return _variance(x).sqrt()


def _cosine_similarity(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x * y).sum(-1) / (x.square().sum(-1) * y.square().sum(-1)).sqrt()


def _kl_divergence(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    log_p, log_q = torch.log_softmax(x, -1), torch.log_softmax(y, -1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _hamming_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (torch.sign(x) != torch.sign(y)).to(torch.float64).mean(-1)


REDUCTIONS: tuple[Operator, ...] = (
    _reduction("mean", function=lambda x: x.mean(-1), formula="Σ x / n", template="mean({0})",
               scaling=_scaling.KEPT,
               odd=True,
               keeps_non_negative=True, accumulator=sums(_terms.itself, _terms.mean)),
    _reduction("sum", function=lambda x: x.sum(-1), formula="Σ x", template="Σ({0})", odd=True,
               scaling=_scaling.TOTAL,
               keeps_non_negative=True, accumulator=sums(_terms.itself, _terms.plain)),
    _reduction("l1_mean", function=lambda x: x.abs().mean(-1), formula="Σ|x| / n",
               scaling=_scaling.powers(1),
               template="mean|{0}|", even=True, of_magnitude=True, non_negative=True,
               identities=("l1_mean(x) = mean(x) if x >= 0",),
               accumulator=sums(_terms.magnitude, _terms.mean)),
    _reduction("frobenius_norm", function=lambda x: x.square().sum(-1).sqrt(),
               scaling=_scaling.powers(1),
               formula="√Σ x²", template="‖{0}‖", even=True, of_magnitude=True, non_negative=True,
               accumulator=sums(_terms.square, _terms.root)),
    _reduction("standard_deviation", function=_standard_deviation,
               scaling=_scaling.SPREAD,
               formula="√(Σ (x − mean x)² / n)", template="std({0})", even=True,
               non_negative=True,
               accumulator=partial(Spread, root=True)),
    _reduction("variance", function=_variance, formula="Σ (x − mean x)² / n",
               scaling=_scaling.SQUARED_SPREAD,
               template="var({0})", even=True, non_negative=True,
               accumulator=partial(Spread, root=False)),
    _reduction("minimum", function=lambda x: x.amin(-1), formula="min x", template="min({0})",
               scaling=_scaling.KEPT,
               keeps_non_negative=True, mirror="maximum",
               accumulator=partial(Extreme, largest=False)),
    _reduction("maximum", function=lambda x: x.amax(-1), formula="max x", template="max({0})",
               scaling=_scaling.KEPT,
               keeps_non_negative=True, mirror="minimum",
               accumulator=partial(Extreme, largest=True)),
)  # fmt: skip
"""One tensor in, one number per entry out."""

COMPARISONS: tuple[Operator, ...] = (
    _comparison("mse", function=lambda x, y: (x - y).square().mean(-1), formula="Σ (x − y)² / n",
                scaling=_scaling.alike(2),
                template="mse({0}, {1})", commutative=True, non_negative=True,
                accumulator=sums(_terms.squared_distance, _terms.mean)),
    _comparison("l1_distance", function=lambda x, y: (x - y).abs().mean(-1),
                scaling=_scaling.alike(1),
                formula="Σ|x − y| / n", template="mean|{0} − {1}|", commutative=True,
                non_negative=True,
                accumulator=sums(_terms.distance, _terms.mean)),
    _comparison("pairwise_distance", function=lambda x, y: (x - y).square().sum(-1).sqrt(),
                scaling=_scaling.alike(1),
                formula="√Σ (x − y)²", template="‖{0} − {1}‖", commutative=True,
                non_negative=True,
                accumulator=sums(_terms.squared_distance, _terms.root)),
    _comparison("cosine_similarity", function=_cosine_similarity,
                scaling=_scaling.powers(0, 0),
                formula="Σ xy / (√Σ x² √Σ y²)", template="cos({0}, {1})", commutative=True,
                keeps_non_negative=True, odd_in_each=True,
                accumulator=sums(_terms.products, _terms.cosine, 3)),
    _comparison("kl_divergence", function=_kl_divergence,
                scaling=_scaling.softened_both,
                formula="Σ p log(p/q), p = softmax x, q = softmax y", template="KL({0} ‖ {1})",
                accumulator=Divergence),
    _comparison("hamming_distance", function=_hamming_distance,
                scaling=_scaling.powers(0, 0),
                formula="share of elements whose signs differ", template="hamming({0}, {1})",
                commutative=True, non_negative=True,
                accumulator=sums(_terms.unequal_signs, _terms.mean)),
)  # fmt: skip
"""Two tensors in, one number per entry out."""
