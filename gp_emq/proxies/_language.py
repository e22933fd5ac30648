"""The language of expressions that belong to no primitive set: everything there is."""

from functools import cache

from primitives import (
    OPERATORS,
    STATISTICS,
    Activations,
    PrimitiveSet,
    Role,
    Weights,
)

_VALUE_KINDS = (
    Role.ELEMENTWISE,
    Role.NORMALISER,
    Role.REDUCTION,
    Role.MATRIX,
)


@cache
def language() -> PrimitiveSet:
    """Give the set of all built-in statistics, operators and fixed structures.

    Returns:
        The same set at every call; do not change it.
    """
    values = [
        operator
        for operator in OPERATORS.values()
        if operator.kind in (*_VALUE_KINDS, Role.MATRIX_REDUCTION) and operator.signatures is None
    ]
    return PrimitiveSet(
        "language",
        "every built-in statistic and operator",
        statistics=tuple(STATISTICS),
        operators=tuple(OPERATORS),
        unary_values=[operator.name for operator in values if operator.arity == 1],
        binary_values=[operator.name for operator in values if operator.arity == 2],
        inputs=[
            terminal.name
            for terminal in STATISTICS.values()
            if terminal.type in (Weights, Activations)
        ],
    )
