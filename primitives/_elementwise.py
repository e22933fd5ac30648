"""Operators that work element by element, on tensors, vectors and tables alike."""

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from primitives._operator import Kind, Operator

EPSILON = 1e-9
"""What the reciprocal adds to its argument, as EMQ's published operator does."""

_unary = partial(Operator, arity=1, kind=Kind.ELEMENTWISE)
_binary = partial(Operator, arity=2, kind=Kind.ELEMENTWISE)


def _reciprocal(x: torch.Tensor) -> torch.Tensor:
    return torch.reciprocal(x + EPSILON)


def _clamped_sqrt(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0).sqrt()


def _power(x: torch.Tensor, exponent: float) -> torch.Tensor:
    return torch.copysign(x.abs().pow(exponent), x)


def _as_number(
    compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    def indicator(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return compare(x, y).to(x.dtype)

    return indicator


UNARY: tuple[Operator, ...] = (
    _unary("identity", function=torch.clone, formula="x", template="{0}", idempotent=True,
           involution=True, odd=True),
    _unary("abs", function=torch.abs, formula="|x|", template="|{0}|",
           idempotent=True, even=True, of_magnitude=True, non_negative=True),
    _unary("negate", function=torch.neg, formula="−x", template="−{0}", involution=True, odd=True),
    _unary("sign", function=torch.sign, formula="sign(x), 0 for nan", template="sign({0})",
           idempotent=True, odd=True),
    _unary("square", function=torch.square, formula="x²", template="({0})²",
           even=True, of_magnitude=True, non_negative=True),
    _unary("sqrt", function=_clamped_sqrt, formula="√max(x, 0)", template="√({0})",
           non_negative=True),
    _unary("reciprocal", function=_reciprocal, formula="1/(x + 1e-9)", template="1/({0})"),
    _unary("log", function=torch.log, formula="log x (nan below 0)", template="log({0})"),
    _unary("log_abs", function=lambda x: x.abs().log(), formula="log|x|", template="log|{0}|",
           even=True, of_magnitude=True),
    _unary("exp", function=torch.exp, formula="eˣ", template="exp({0})", non_negative=True),
    _unary("relu", function=torch.relu, formula="max(x, 0)", template="relu({0})",
           idempotent=True, non_negative=True),
    _unary("leaky_relu", function=functional.leaky_relu, formula="x if x > 0 else x/100",
           template="leaky_relu({0})"),
    _unary("sigmoid", function=torch.sigmoid, formula="1/(1 + e⁻ˣ)", template="σ({0})",
           non_negative=True),
    _unary("mish", function=functional.mish, formula="x·tanh(log(1 + eˣ))",
           template="mish({0})"),
    _unary("swish", function=functional.silu, formula="x/(1 + e⁻ˣ)", template="swish({0})"),
)  # fmt: skip
"""The one-argument elementwise operators."""

POWER = _binary(
    "power", function=_power, formula="sign(x)·|x|^c, written x^⟨c⟩", template="({0})^⟨{1}⟩",
)  # fmt: skip
"""A signed power; its second argument is an `Exponent`, never a tensor."""

BINARY: tuple[Operator, ...] = (
    _binary("add", function=torch.add, formula="x + y", template="({0} + {1})", commutative=True),
    _binary("subtract", function=torch.sub, formula="x − y", template="({0} − {1})"),
    _binary("multiply", function=torch.mul, formula="x·y", template="{0}·{1}", commutative=True),
    _binary("divide", function=torch.div, formula="x/y", template="({0})/({1})"),
    _binary("less", function=_as_number(torch.lt), formula="1 if x < y else 0",
            template="[{0} < {1}]", non_negative=True),
    _binary("greater", function=_as_number(torch.gt), formula="1 if x > y else 0",
            template="[{0} > {1}]", non_negative=True),
    _binary("equal", function=_as_number(torch.eq), formula="1 if x = y else 0",
            template="[{0} = {1}]", commutative=True, non_negative=True),
)  # fmt: skip
"""The two-argument elementwise operators."""
