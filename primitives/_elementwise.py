"""Operators that work element by element, on tensors, vectors and tables alike."""

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from primitives import _kernels, _scaling
from primitives._kernels import EPSILON
from primitives._operator import Operator, Role
from primitives._types import TREE_TYPES, Exponent, Factor

_unary = partial(Operator, arity=1, kind=Role.ELEMENTWISE)
_binary = partial(Operator, arity=2, kind=Role.ELEMENTWISE)


def _reciprocal(x: torch.Tensor) -> torch.Tensor:
    return torch.reciprocal(x + EPSILON)


def _clamped_sqrt(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0).sqrt()


def _power(x: torch.Tensor, exponent: float) -> torch.Tensor:
    return torch.copysign(x.abs().pow(exponent), x)


def _scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    return x * factor


def _as_number(
    compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    def indicator(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return compare(x, y).to(x.dtype)

    return indicator


UNARY: tuple[Operator, ...] = (
    _unary("identity", function=torch.clone, formula="x", template="{0}", idempotent=True,
           scaling=_scaling.KEPT,
           involution=True, odd=True,
           keeps_non_negative=True,
           identities=("identity(x) = x",)),
    _unary("abs", function=torch.abs, formula="|x|", template="|{0}|",
           scaling=_scaling.powers(1),
           idempotent=True, even=True, of_magnitude=True, non_negative=True,
           keeps_zero=True, kernel=torch.abs,
           identities=("abs(x) = x if x >= 0",)),
    _unary("negate", function=torch.neg, formula="−x", template="−{0}", involution=True, odd=True,
           scaling=_scaling.TURNED,
           keeps_zero=True, kernel=torch.neg),
    _unary("sign", function=torch.sign, formula="sign(x), 0 for nan", template="sign({0})",
           scaling=_scaling.powers(0),
           idempotent=True, odd=True,
           keeps_zero=True, kernel=torch.sign),
    _unary("square", function=torch.square, formula="x²", template="({0})²",
           scaling=_scaling.powers(2),
           even=True, of_magnitude=True, non_negative=True,
           keeps_zero=True, kernel=torch.square,
           identities=("square(sqrt(x)) = relu(x)",)),
    _unary("sqrt", function=_clamped_sqrt, formula="√max(x, 0)", template="√({0})",
           scaling=_scaling.powers(0.5),
           non_negative=True,
           keeps_zero=True, kernel=_kernels.clamped_sqrt,
           identities=("sqrt(square(x)) = abs(x)",)),
    _unary("reciprocal", function=_reciprocal, formula="1/(x + 1e-9)", template="1/({0})",
           scaling=_scaling.powers(-1),
           keeps_non_negative=True, kernel=_kernels.reciprocal),
    _unary("log", function=torch.log, formula="log x (nan below 0)", template="log({0})",
           scaling=_scaling.logarithm,
           kernel=_kernels.log),
    _unary("log_abs", function=lambda x: x.abs().log(), formula="log|x|", template="log|{0}|",
           scaling=_scaling.logarithm,
           even=True, of_magnitude=True,
           kernel=_kernels.log_abs),
    _unary("exp", function=torch.exp, formula="eˣ", template="exp({0})", non_negative=True,
           scaling=_scaling.exponential,
           kernel=_kernels.exp),
    _unary("relu", function=torch.relu, formula="max(x, 0)", template="relu({0})",
           scaling=_scaling.powers(1),
           idempotent=True, non_negative=True,
           keeps_zero=True, kernel=_kernels.relu,
           identities=("relu(x) = x if x >= 0",)),
    _unary("leaky_relu", function=functional.leaky_relu, formula="x if x > 0 else x/100",
           scaling=_scaling.powers(1),
           template="leaky_relu({0})",
           keeps_zero=True, keeps_non_negative=True, kernel=_kernels.leaky_relu),
    _unary("sigmoid", function=torch.sigmoid, formula="1/(1 + e⁻ˣ)", template="σ({0})",
           scaling=_scaling.bounded,
           non_negative=True,
           kernel=torch.sigmoid),
    _unary("mish", function=functional.mish, formula="x·tanh(log(1 + eˣ))",
           scaling=_scaling.bounded,
           template="mish({0})",
           keeps_non_negative=True, kernel=_kernels.mish),
    _unary("swish", function=functional.silu, formula="x/(1 + e⁻ˣ)", template="swish({0})",
           scaling=_scaling.bounded,
           keeps_non_negative=True, kernel=_kernels.swish),
)  # fmt: skip
"""The one-argument elementwise operators."""

POWER = _binary(
    "power", function=_power, formula="sign(x)·|x|^c, written x^⟨c⟩", template="({0})^⟨{1}⟩",
    scaling=_scaling.raised,
    keeps_non_negative=True, signatures=tuple(((kind, Exponent), kind) for kind in TREE_TYPES),
    kernel=_kernels.power,
    identities=(
        "power(x, 1.0) = x",
        "power(negate(x), c) = negate(power(x, c))",
        "power(power(x, c), d) = power(x, cd)",
        "power(x, 2.0) = square(x) if x >= 0",
        "power(x, 0.5) = sqrt(x) if x >= 0",
    ))  # fmt: skip
"""A signed power; its second argument is an `Exponent`, never a tensor."""

SCALED = _binary(
    "scaled", function=_scaled, formula="c·x, c above 0", template="{1}·{0}",
    scaling=_scaling.multiplied,
    keeps_non_negative=True, signatures=tuple(((kind, Factor), kind) for kind in TREE_TYPES),
    kernel=torch.mul,
    identities=(
        "scaled(x, 1.0) = x",
        "scaled(0, c) = 0",
        "scaled(negate(x), c) = negate(scaled(x, c))",
        "scaled(scaled(x, c), d) = scaled(x, cd)",
    ))  # fmt: skip
"""A weight; its second argument is a `Factor`. Expressions may have it, and no search draws it."""

BINARY: tuple[Operator, ...] = (
    _binary("add", function=torch.add, formula="x + y", template="({0} + {1})", commutative=True,
            scaling=_scaling.summed(1),
            keeps_non_negative=True, kernel=torch.add,
            identities=(
                "add(negate(x), negate(y)) = negate(add(x, y))",
                "add(x, negate(y)) = subtract(x, y)",
                "add(negate(x), y) = subtract(y, x)",
                "add(0, x) = x",
                "add(x, 0) = x",
            )),
    _binary("subtract", function=torch.sub, formula="x − y", template="({0} − {1})",
            scaling=_scaling.summed(-1),
            antisymmetric=True, kernel=torch.sub,
            identities=(
                "subtract(x, x) = 0",
                "subtract(x, negate(y)) = add(x, y)",
                "subtract(negate(x), y) = negate(add(x, y))",
                "subtract(0, x) = negate(x)",
                "subtract(x, 0) = x",
            )),
    _binary("multiply", function=torch.mul, formula="x·y", template="{0}·{1}", commutative=True,
            scaling=_scaling.powers(1, 1),
            keeps_non_negative=True, odd_in_each=True, kernel=torch.mul,
            identities=(
                "multiply(1, x) = x",
                "multiply(x, 1) = x",
                "multiply(0, x) = 0",
                "multiply(x, 0) = 0",
                "multiply(x, x) = square(x)",
                "multiply(scaled(x, c), y) = scaled(multiply(x, y), c)",
                "multiply(x, scaled(y, c)) = scaled(multiply(x, y), c)",
            )),
    _binary("divide", function=torch.div, formula="x/y", template="({0})/({1})",
            scaling=_scaling.powers(1, -1),
            keeps_non_negative=True, odd_in_each=True, kernel=torch.div,
            identities=("divide(x, x) = 1", "divide(x, 1) = x")),
    _binary("less", function=_as_number(torch.lt), formula="1 if x < y else 0",
            scaling=_scaling.alike(0),
            template="[{0} < {1}]", non_negative=True,
            converse="greater", kernel=torch.lt),
    _binary("greater", function=_as_number(torch.gt), formula="1 if x > y else 0",
            scaling=_scaling.alike(0),
            template="[{0} > {1}]", non_negative=True,
            converse="less", kernel=torch.gt),
    _binary("equal", function=_as_number(torch.eq), formula="1 if x = y else 0",
            scaling=_scaling.alike(0),
            template="[{0} = {1}]", commutative=True, non_negative=True,
            kernel=torch.eq),
)  # fmt: skip
"""The two-argument elementwise operators."""
