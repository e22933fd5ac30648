"""All built-in operators and terminals by name, and the signatures each kind of operator has."""

from primitives import _scaling
from primitives._elementwise import BINARY, POWER, SCALED, UNARY
from primitives._matrices import LOG_DETERMINANT, MATRIX
from primitives._normalisers import NORMALISERS
from primitives._operator import Operator, Role, Signature
from primitives._reductions import COMPARISONS, REDUCTIONS
from primitives._structures import BRANCHED, DAG, SEQUENTIAL
from primitives._terminals import TERMINALS, Terminal
from primitives._types import (
    TREE_TYPES,
    Activations,
    ActivationsPerBit,
    BitTable,
    LayerVector,
    Matrices,
    Weights,
    WeightsPerBit,
)

TIMES_BITS = Operator(
    "times_bits", 1, Role.ELEMENTWISE, lambda values, bits: values * bits,
    scaling=_scaling.powers(1),
    formula="x·b for every bit choice b", template="{0}·b", odd=True,
    keeps_non_negative=True, signatures=(((LayerVector,), BitTable),),
)  # fmt: skip
"""How a classical proxy, one number per entry, becomes a table."""

OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        *UNARY, POWER, SCALED, *BINARY, *NORMALISERS, *REDUCTIONS, *COMPARISONS, *MATRIX,
        LOG_DETERMINANT, TIMES_BITS, SEQUENTIAL, BRANCHED, DAG,
    )
}  # fmt: skip

READ_BY_ALL: tuple[Operator, ...] = (POWER, SCALED)
"""Operators with a constant, which expressions of every set may have, whatever its trees draw."""

STATISTICS: dict[str, Terminal] = {terminal.name: terminal for terminal in TERMINALS}

_SAME_TYPE: tuple[Signature, ...] = tuple(((kind,), kind) for kind in TREE_TYPES)
_PAIRS: tuple[Signature, ...] = (
    ((Weights, Weights), Weights),
    ((WeightsPerBit, WeightsPerBit), WeightsPerBit),
    ((Weights, WeightsPerBit), WeightsPerBit),
    ((WeightsPerBit, Weights), WeightsPerBit),
    ((Activations, Activations), Activations),
    ((ActivationsPerBit, ActivationsPerBit), ActivationsPerBit),
    ((Activations, ActivationsPerBit), ActivationsPerBit),
    ((ActivationsPerBit, Activations), ActivationsPerBit),
    ((LayerVector, LayerVector), LayerVector),
    ((LayerVector, BitTable), BitTable),
    ((BitTable, LayerVector), BitTable),
    ((BitTable, BitTable), BitTable),
)
_SIGNATURES: dict[tuple[Role, int], tuple[Signature, ...]] = {
    (Role.ELEMENTWISE, 1): _SAME_TYPE,
    (Role.ELEMENTWISE, 2): _PAIRS,
    (Role.NORMALISER, 1): _SAME_TYPE,
    (Role.REDUCTION, 1): (
        ((Weights,), LayerVector),
        ((WeightsPerBit,), BitTable),
        ((Activations,), LayerVector),
        ((ActivationsPerBit,), BitTable),
        ((Matrices,), LayerVector),
    ),
    (Role.REDUCTION, 2): (
        ((Weights, Weights), LayerVector),
        ((WeightsPerBit, WeightsPerBit), BitTable),
        ((Weights, WeightsPerBit), BitTable),
        ((WeightsPerBit, Weights), BitTable),
        ((Activations, Activations), LayerVector),
        ((ActivationsPerBit, ActivationsPerBit), BitTable),
        ((Activations, ActivationsPerBit), BitTable),
        ((ActivationsPerBit, Activations), BitTable),
    ),
    (Role.MATRIX, 1): (((Weights,), Matrices), ((Activations,), Matrices)),
    (Role.MATRIX, 2): (
        ((Weights, Weights), Matrices),
        ((Activations, Activations), Matrices),
    ),
    (Role.MATRIX_REDUCTION, 1): (((Matrices,), LayerVector),),
}


def signatures_of(operator: Operator) -> tuple[Signature, ...]:
    """Give every signature the operator may have in a tree.

    Two types that combine do so in both orders, such as ``LayerVector − BitTable`` and
    ``BitTable − LayerVector``. A commutative operator has but the first of the two, the one whose
    second argument has the bit axis: the other would be the same formula once more. Expressions
    may write it either way.

    Args:
        operator: A built-in operator, or a user's own of one of the kinds.

    Returns:
        Argument types and result type of each; empty for a kind and arity that no tree can hold.
    """
    if operator.signatures is not None:
        return operator.signatures
    signatures = _SIGNATURES.get((operator.kind, operator.arity), ())
    if not operator.commutative:
        return signatures
    return tuple(
        (arguments, result)
        for place, (arguments, result) in enumerate(signatures)
        if (arguments[::-1], result) not in signatures[:place]
    )
