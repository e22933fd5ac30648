"""What an operator is: a total function on tensors, with its formula and its algebra."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch

from primitives._accumulators import MakeAccumulator
from primitives._affine import AffineNormaliser
from primitives._kernels import Kernel
from primitives._scaling import Scaling

Signature = tuple[tuple[type, ...], type]
"""Argument types and result type."""


class Role(Enum):
    """How an operator meets the geometry of a network."""

    ELEMENTWISE = "elementwise"
    """Element by element; any shape in, the same shape out."""
    NORMALISER = "normaliser"
    """Needs a whole layer's tensor; the same shape out."""
    REDUCTION = "reduction"
    """``function(x, dim)`` over the last axis, in float64; one number per entry out."""
    MATRIX = "matrix"
    """``function(rows)`` on a layer's (rows, columns) matrix; (rows, rows) out."""
    MATRIX_REDUCTION = "matrix reduction"
    """``function(matrix)`` on a layer's square matrix; one number out, added over tied layers."""
    STRUCTURE = "structure"
    """One of EMQ's fixed structures; takes inputs and operators as values."""


class ShapeMismatchError(Exception):
    """Two tensors of a fixed structure do not fit; the screen counts it as a rejection."""


@dataclass(frozen=True)
class Operator:
    """All that is known of an operator, which is named, documented and total.

    What it is declared to be folds equal ways of writing a formula into one, so it must hold for
    all numbers. How it is computed piece by piece is optional: without, a tensor is computed by
    ``function`` and copied, and a reduction collects all pieces of an entry first. Of a user's own
    operator only ``function`` is called.

    Args:
        name: The name in expressions; the same for all types the operator takes.
        arity: Number of arguments.
        kind: How it meets the geometry of a network.
        function: The tensor function; its signature follows from ``kind``. It never raises on
            finite input of the right rank; it may give inf or nan.
        formula: The definition, in plain mathematics.
        template: ``str.format`` template for readable mathematics.
        commutative: Whether swapping the two arguments changes nothing.
        involution: Whether applying it twice gives the argument back.
        idempotent: Whether applying it twice equals applying it once.
        even: Whether ``f(−x) = f(x)``.
        odd: Whether ``f(−x) = −f(x)``.
        of_magnitude: Whether ``f(|x|) = f(x)``, which implies even.
        non_negative: Whether the result is never negative.
        antisymmetric: Whether ``f(y, x) = −f(x, y)``.
        odd_in_each: Whether it is odd in both arguments.
        keeps_zero: Whether zero everywhere gives zero everywhere.
        keeps_non_negative: Whether the result is never negative if no argument is.
        mirror: The operator g of one argument for which ``f(−x) = −g(x)``.
        converse: The operator g of two arguments for which ``f(x, y) = g(y, x)``.
        constant_under: Reductions that make of its result what depends on the shape alone.
        identities: Other rules that the canonical form folds, see `primitives.Identity`.
        scaling: What it makes of values that a rescaled layer changes; None where that is not
            known, so that a formula must be tried.
        signatures: Argument types and result types, where they do not follow from ``kind``.
        kernel: Computes an elementwise operator into memory that is given.
        accumulator: Makes what takes a reduction's argument piece by piece.
        affine: The shift and scale of each layer, of a normaliser that is no more than those.
    """

    name: str
    arity: int
    kind: Role
    function: Callable[..., torch.Tensor]
    formula: str
    template: str
    commutative: bool = False
    involution: bool = False
    idempotent: bool = False
    even: bool = False
    odd: bool = False
    of_magnitude: bool = False
    non_negative: bool = False
    antisymmetric: bool = False
    odd_in_each: bool = False
    keeps_zero: bool = False
    keeps_non_negative: bool = False
    mirror: str = ""
    converse: str = ""
    constant_under: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    scaling: Scaling | None = None
    signatures: tuple[Signature, ...] | None = None
    kernel: Kernel | None = None
    accumulator: MakeAccumulator | None = None
    affine: AffineNormaliser | None = None
