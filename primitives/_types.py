"""The types of the trees. No type is a subclass of another.

DEAP wants a class for each type; values of these types are torch tensors (see
``gp_emq.proxies``), so the classes themselves are only names and are never instantiated.
"""


class Weights:
    """One tensor per layer, shaped as its weight; stored flat, float32 (elements,)."""


class WeightsPerBit:
    """As `Weights` with a leading bit axis; float32 (bits, elements); never stored."""


class Activations:
    """One tensor per layer, (images, channels, ...); stored flat, float32 (elements,)."""


class ActivationsPerBit:
    """As `Activations` with a leading bit axis; stored flat, float32 (bits, elements)."""


class Matrices:
    """One square matrix per layer, (rows, rows), where rows are output channels or images.

    Only unary operators and reductions take it: matrices of weights and of activations
    differ in size, so nothing that combines two of them would be total.
    """


class LayerVector:
    """One number per entry; float64 (entries,)."""


class BitTable:
    """One number per entry and bit choice; float64 (entries, bits). The type of every root."""


class Exponent:
    """A number, the second argument of ``power``; a search draws it from `EXPONENTS`."""


class Factor:
    """A number above 0, the second argument of ``scaled``; expressions have it, no search does."""


class Input:
    """A statistic of either tensor kind, chosen as a value by EMQ's fixed structures."""


class UnaryOperator:
    """A one-argument operator, chosen as a value by EMQ's fixed structures."""


class BinaryOperator:
    """A two-argument operator, chosen as a value by EMQ's fixed structures."""


EXPONENTS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0)
"""The constants that a search draws."""
NUMBER_TYPES: tuple[type, ...] = (Exponent, Factor)
"""What an expression writes as a number."""

TENSOR_TYPES: tuple[type, ...] = (Weights, WeightsPerBit, Activations, ActivationsPerBit)
PER_BIT_TYPES: tuple[type, ...] = (WeightsPerBit, ActivationsPerBit)
"""The tensors with a leading bit axis."""
TREE_TYPES: tuple[type, ...] = (*TENSOR_TYPES, Matrices, LayerVector, BitTable)
