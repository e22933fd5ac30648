"""Operators on vectors and tables: one number per entry, or per entry and bit choice."""

from collections.abc import Sequence

from torch import Tensor

from primitives import BitTable, LayerVector, Overload, Role


def apply_reduced(overload: Overload, arguments: Sequence[Tensor | float], bits: Tensor) -> Tensor:
    """Apply an operator to vectors and tables.

    Args:
        overload: The operator with the types of its arguments.
        arguments: float64 (entries,) of a `LayerVector`, (entries, bits) of a `BitTable`, or the
            number of an `Exponent` or a `Factor`.
        bits: The bit widths, float64 (entries, bits).

    Returns:
        The value, float64, shaped as ``overload.result`` demands.
    """
    function = overload.operator.function
    first, *rest = arguments
    if not isinstance(first, Tensor):
        raise TypeError(f"operator {overload.name!r} needs a tensor first")
    if overload.operator.name == "times_bits":
        return function(first[:, None], bits)
    if BitTable in overload.arguments and LayerVector in overload.arguments:
        return function(*(_by_entry(argument) for argument in arguments))
    if overload.operator.kind is Role.NORMALISER and overload.arguments == (BitTable,):
        return function(first.reshape(-1)).reshape(first.shape)
    return function(first, *rest)


def _by_entry(value: Tensor | float) -> Tensor | float:
    """Let a vector meet a table entry by entry."""
    return value[:, None] if isinstance(value, Tensor) and value.dim() == 1 else value
