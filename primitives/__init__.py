"""Primitive sets: the typed operators and terminals that searches use.

Each public module of this package is one set, with one function ``build()``; everything a set
is made of is imported from here.
"""

from primitives._catalogue import OPERATORS, STATISTICS
from primitives._guard import is_guarded
from primitives._identities import Identity, Pattern
from primitives._kernels import Kernel
from primitives._matrices import as_rows
from primitives._operator import Operator, Role, ShapeMismatchError
from primitives._primitive_set import Overload, PrimitiveSet
from primitives._registry import load_primitive_set, primitive_set_names
from primitives._scaling import DependsOnScaleError, Power, Scale, is_invariant
from primitives._structures import as_value
from primitives._terminals import Terminal
from primitives._types import (
    EXPONENTS,
    NUMBER_TYPES,
    PER_BIT_TYPES,
    TENSOR_TYPES,
    Activations,
    ActivationsPerBit,
    BinaryOperator,
    BitTable,
    Exponent,
    Factor,
    Input,
    LayerVector,
    Matrices,
    UnaryOperator,
    Weights,
    WeightsPerBit,
)

__all__ = [
    "EXPONENTS",
    "NUMBER_TYPES",
    "OPERATORS",
    "PER_BIT_TYPES",
    "STATISTICS",
    "TENSOR_TYPES",
    "Activations",
    "ActivationsPerBit",
    "BinaryOperator",
    "BitTable",
    "DependsOnScaleError",
    "Exponent",
    "Factor",
    "Identity",
    "Input",
    "Kernel",
    "LayerVector",
    "Matrices",
    "Operator",
    "Overload",
    "Pattern",
    "Power",
    "PrimitiveSet",
    "Role",
    "Scale",
    "ShapeMismatchError",
    "Terminal",
    "UnaryOperator",
    "Weights",
    "WeightsPerBit",
    "as_rows",
    "as_value",
    "is_guarded",
    "is_invariant",
    "load_primitive_set",
    "primitive_set_names",
]
