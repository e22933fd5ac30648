"""Dimensional analysis: how values change where a layer's weights are rescaled.

Before a batch norm, weights (and bias) may be multiplied by any a > 0 without changing what the
network computes. A statistic of that layer is then multiplied by a power of a, its exponent, and
so is what most operators make of it. The layers of one entry have one a.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from primitives._types import BitTable, LayerVector


class DependsOnScaleError(Exception):
    """A value is multiplied by no power of a, so that what a formula says is arbitrary."""


@dataclass(frozen=True)
class Power:
    """A value that is multiplied by aᵏ.

    Attributes:
        degree: k.
    """

    degree: Fraction


@dataclass(frozen=True)
class Shift:
    """A value that grows by k·log a everywhere in an entry, as a logarithm does.

    Attributes:
        by: k; None where it depends on the entry.
    """

    by: Fraction | None


Scale = Power | Shift
INVARIANT = Power(Fraction(0))
"""What a rescaled layer does not change."""

Scaling = Callable[[Sequence[Scale | float], type], Scale]
"""Gives the scale of an operator's result from those of its arguments, numbers as they are, and
the type of the first; raises `DependsOnScaleError`."""


def is_invariant(scale: Scale) -> bool:
    """Say whether a table's scores rank configurations alike: a row may shift as a whole."""
    return isinstance(scale, Shift) or scale == INVARIANT


def powers(*degrees: float | Fraction) -> Scaling:
    """Give the rule of what is homogeneous in each argument."""

    def rule(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
        given = zip(_as_powers(arguments), degrees, strict=True)
        return Power(sum((one * Fraction(degree) for one, degree in given), Fraction(0)))

    return rule


def following(degree: float | Fraction, shifted: Callable[[Shift], Scale]) -> Scaling:
    """Give the rule of what is homogeneous, and makes something of a shift."""
    homogeneous = powers(degree)

    def rule(arguments: Sequence[Scale | float], kind: type) -> Scale:
        (one,) = arguments
        return shifted(one) if isinstance(one, Shift) else homogeneous(arguments, kind)

    return rule


def alike(degree: int) -> Scaling:
    """Give the rule of what compares two of one scale, whose common shift falls out.

    Args:
        degree: That of the result where both arguments have degree 1.
    """

    def rule(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
        one, other = arguments
        if one != other or one == Shift(None):
            raise DependsOnScaleError
        return Power(one.degree * degree) if isinstance(one, Power) else INVARIANT

    return rule


def summed(sign: int) -> Scaling:
    """Give the rule of a sum or, with a sign of −1, a difference."""

    def rule(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
        one, other = arguments
        if isinstance(one, Power) and one == other:
            return one
        first, second = _as_shift(one), _as_shift(other)
        if first.by is None or second.by is None:
            return Shift(None)
        return Shift(first.by + sign * second.by)

    return rule


def logarithm(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
    """Turn a power into a shift."""
    (degree,) = _as_powers(arguments)
    return Shift(degree) if degree else INVARIANT


def exponential(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
    """Turn a shift into a power."""
    (one,) = arguments
    if isinstance(one, Shift) and one.by is not None:
        return Power(one.by)
    return _invariant(one)


def raised(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
    """Multiply a degree with the exponent that is the second argument."""
    base, exponent = arguments
    if not isinstance(base, Power) or isinstance(exponent, Scale):
        raise DependsOnScaleError
    return Power(base.degree * Fraction(str(exponent)))


def multiplied(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
    """Keep a degree, and multiply a shift with the factor that is the second argument."""
    one, factor = arguments
    if isinstance(one, Shift) and one.by is not None and not isinstance(factor, Scale):
        return Shift(one.by * Fraction(str(factor)))
    if not isinstance(one, Scale):
        raise DependsOnScaleError
    return one


def bounded(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
    """Take what is invariant alone, as a sigmoid does."""
    return _invariant(arguments[0])


def softened(arguments: Sequence[Scale | float], kind: type) -> Scale:
    """Take what is invariant, or a shift that a whole layer has."""
    (one,) = arguments
    whole_layer = kind not in (LayerVector, BitTable)
    return INVARIANT if whole_layer and isinstance(one, Shift) else _invariant(one)


def normalised(arguments: Sequence[Scale | float], kind: type) -> Scale:
    """Take any one scale that a whole layer has; across entries what is invariant alone."""
    return INVARIANT if kind not in (LayerVector, BitTable) else _invariant(arguments[0])


def softened_both(arguments: Sequence[Scale | float], kind: type) -> Scale:
    """Take two as `softened` does."""
    for one in arguments:
        softened([one], kind)
    return INVARIANT


def determinant(arguments: Sequence[Scale | float], kind: type) -> Scale:  # noqa: ARG001
    """Turn a power into a shift by the power of a determinant."""
    (degree,) = _as_powers(arguments)
    return Shift(None) if degree else INVARIANT


KEPT = following(1, lambda one: one)
"""What keeps the scale, as a mean does."""
TURNED = following(1, lambda one: Shift(None if one.by is None else -one.by))
"""What turns the sign."""
TOTAL = following(1, lambda _: Shift(None))
"""What adds a shift up once for each element."""
SPREAD, SQUARED_SPREAD = following(1, lambda _: INVARIANT), following(2, lambda _: INVARIANT)
"""What a shift falls out of."""


def _as_powers(arguments: Sequence[Scale | float]) -> list[Fraction]:
    if not all(isinstance(one, Power) for one in arguments):
        raise DependsOnScaleError
    return [one.degree for one in arguments if isinstance(one, Power)]


def _as_shift(one: Scale | float) -> Shift:
    """Give what does not change as a shift by nothing."""
    return one if isinstance(one, Shift) else Shift(_invariant(one).degree)


def _invariant(one: Scale | float) -> Power:
    if one != INVARIANT:
        raise DependsOnScaleError
    return INVARIANT
