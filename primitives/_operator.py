"""What an operator is: a total function on tensors, with its formula and its algebra."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch


class Kind(Enum):
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
    """A named, documented, total operator.

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
    """

    name: str
    arity: int
    kind: Kind
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
