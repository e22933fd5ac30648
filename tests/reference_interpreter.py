"""A plain interpreter of trees: recursive, float64, layer by layer, nothing cached."""

from itertools import pairwise
from typing import Any

import numpy as np
from reference_operators import (
    BINARY,
    COMPARISONS,
    MATRIX,
    NORMALISERS,
    REDUCTIONS,
    UNARY,
    log_determinant,
    power,
)

from gp_emq.statistics import Statistics
from primitives import (
    NUMBER_TYPES,
    PER_BIT_TYPES,
    STATISTICS,
    Activations,
    ActivationsPerBit,
    BinaryOperator,
    BitTable,
    Input,
    LayerVector,
    PrimitiveSet,
    ShapeMismatchError,
    UnaryOperator,
)


class Reference:
    """Interprets the trees of a set on statistics.

    Args:
        primitive_set: The set.
        statistics: The statistics.
    """

    def __init__(self, primitive_set: PrimitiveSet, statistics: Statistics) -> None:
        self._set = primitive_set
        self._statistics = statistics
        self._entries = statistics.layout("Weights").entries
        # Whether every value of the latest tree was, those of its subtrees included.
        self.was_finite = True
        # Whether what it stretches to a fixed range is one number but for rounding.
        self.spreads_noise = False
        # Relative noise on every value of every node; what it changes is ill-conditioned.
        self._jitter = 0.0

    def table(self, tree) -> np.ndarray:
        self._noise = np.random.default_rng(7)
        self._nodes = iter(tree)
        self.was_finite = True
        self.spreads_noise = False
        with np.errstate(all="ignore"):
            return self._value()

    def trusted_table(self, tree) -> np.ndarray | None:
        """The table, or None where last-digit differences of any node would change it."""
        expected = self.table(tree)
        self._jitter = 1e-13
        shaken = self.table(tree)
        self._jitter = 0.0
        return expected if agree(expected, shaken) and not self.spreads_noise else None

    def _value(self) -> Any:
        node = next(self._nodes)
        if node.arity == 0:
            value = self._leaf(node)
        else:
            overload = self._set.overloads[node.name]
            arguments = [self._value() for _ in range(node.arity)]
            value = self._apply(overload, arguments)
            for part in value if isinstance(value, list) else [value]:
                self.was_finite &= bool(np.isfinite(part).all())
        if self._jitter and not callable(value) and node.ret not in NUMBER_TYPES:
            return self._shaken(value)
        return value

    def _shaken(self, value):
        if isinstance(value, list):
            return [self._shaken(one) for one in value]
        return value * (1 + self._jitter * self._noise.normal(size=np.shape(value)))

    def _shaking(self, function):
        return (lambda *x: self._shaken(function(*x))) if self._jitter else function

    def _leaf(self, node) -> Any:
        if node.ret in NUMBER_TYPES:
            return float(node.name)
        if node.ret is UnaryOperator:
            return self._shaking(unary_value(node.name))
        if node.ret is BinaryOperator:
            return self._shaking(binary_value(node.name))
        return self.statistic(node.name)

    def statistic(self, name: str) -> Any:
        """A statistic as trees see it: a list of layers' arrays, or an array."""
        if name == "gradient_times_weight":
            return self._product("weight_gradient", "weight")
        if name == "gradient_times_activation":
            return self._product("activation_gradient", "activation")
        kind = STATISTICS[name].type
        if name == "quantization_perturbation":
            name = "perturbation"
        flat = self._statistics.tensor(name).numpy().astype(np.float64)
        if kind in (LayerVector, BitTable):
            return flat
        of_activations = kind in (Activations, ActivationsPerBit)
        layout = self._statistics.layout("Activations" if of_activations else "Weights")
        return [
            flat[..., start:stop].reshape(*flat.shape[:-1], *shape)
            for (start, stop), shape in zip(pairwise(layout.offsets), layout.shapes, strict=True)
        ]

    def _product(self, one: str, other: str) -> list[np.ndarray]:
        pairs = zip(self.statistic(one), self.statistic(other), strict=True)
        return [x * y for x, y in pairs]

    def _apply(self, overload, arguments) -> Any:  # noqa: PLR0911 - a kind of operator a line
        name, kinds = overload.operator.name, overload.arguments
        if name == "times_bits":
            return arguments[0][:, None] * self.statistic("bits")
        if name in {"sequential", "branched", "dag"}:
            return self._structured(name, kinds, arguments)
        if name in UNARY:
            return each(UNARY[name], arguments[0])
        if name == "power":
            return each(lambda x: power(x, arguments[1]), arguments[0])
        if name == "scaled":
            return each(lambda x: arguments[1] * x, arguments[0])
        if name in BINARY:
            return self._binary(BINARY[name], kinds, arguments)
        if name in NORMALISERS:
            values = arguments[0]
            for part in values if isinstance(values, list) else [values]:
                self.spreads_noise |= 0 < np.ptp(part) <= 1e-12 * np.abs(part).max()
            return self._normalised(NORMALISERS[name], kinds[0], arguments[0])
        if name in REDUCTIONS:
            return self._reduced(REDUCTIONS[name], kinds, arguments)
        if name in COMPARISONS:
            return self._reduced(COMPARISONS[name], kinds, arguments)
        if name in MATRIX:
            return [
                MATRIX[name](*(layer.reshape(len(layer), -1) for layer in layers))
                for layers in zip(*arguments, strict=True)
            ]
        assert name == "log_determinant"
        totals = np.zeros(self._entries[-1] + 1)
        for entry, matrix in zip(self._entries, arguments[0], strict=True):
            totals[entry] += log_determinant(matrix)
        return totals

    def _binary(self, function, kinds, arguments) -> Any:
        x, y = arguments
        if kinds == (LayerVector, BitTable):
            return function(x[:, None], y)
        if kinds == (BitTable, LayerVector):
            return function(x, y[:, None])
        if isinstance(x, list):
            return [function(one, other) for one, other in zip(x, y, strict=True)]
        return function(x, y)

    def _normalised(self, function, kind, x) -> Any:
        if kind is LayerVector:
            return function(x)
        if kind is BitTable:
            return function(x.ravel()).reshape(x.shape)
        if kind in PER_BIT_TYPES:
            return [np.stack([function(row) for row in layer]) for layer in x]
        return [function(layer) for layer in x]

    def _reduced(self, function, kinds, arguments) -> np.ndarray:
        count = self._entries[-1] + 1
        bits = len(self._statistics.bits)
        if {*kinds} & {*PER_BIT_TYPES}:
            result = np.empty((count, bits))
            for entry in range(count):
                for bit in range(bits):
                    rows = [
                        self._row(x, entry, bit if kind in PER_BIT_TYPES else None)
                        for x, kind in zip(arguments, kinds, strict=True)
                    ]
                    result[entry, bit] = function(*rows)
            return result
        return np.array(
            [function(*(self._row(x, entry, None) for x in arguments)) for entry in range(count)]
        )

    def _row(self, layers, entry: int, bit: int | None) -> np.ndarray:
        """All elements of an entry's layers, end to end."""
        mine = [x for x, of in zip(layers, self._entries, strict=True) if of == entry]
        return np.concatenate([(x if bit is None else x[bit]).ravel() for x in mine])

    def _structured(self, name, kinds, arguments) -> np.ndarray:
        count = self._entries[-1] + 1
        totals, elements = np.zeros(count), np.zeros(count)
        for layer, entry in enumerate(self._entries):
            call = [
                x[layer] if kind is Input else x for x, kind in zip(arguments, kinds, strict=True)
            ]
            first = next(x for x, kind in zip(call, kinds, strict=True) if kind is Input)
            totals[entry] += STRUCTURES[name](*call) * first.size
            elements[entry] += first.size
        return totals / elements


def agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two tables are the same but for rounding."""
    finite = one[np.isfinite(one)]
    scale = np.abs(finite).max(initial=0.0)
    return np.allclose(one, other, rtol=1e-7, atol=1e-9 * scale, equal_nan=True)


def each(function, x):
    return [function(one) for one in x] if isinstance(x, list) else function(x)


def unary_value(name: str):
    """An operator inside one of EMQ's structures: an array of any rank in, one of any rank out."""

    def apply(x):
        x = np.asarray(x, dtype=np.float64)
        if name in UNARY:
            return UNARY[name](x)
        if name in NORMALISERS:
            if x.ndim:
                return NORMALISERS[name](x)
            return {"softmax": 1.0, "log_softmax": 0.0}.get(name, np.nan)
        if name in REDUCTIONS:
            return REDUCTIONS[name](x.ravel())
        if x.ndim == 0:
            raise ShapeMismatchError
        rows = x.reshape(len(x), -1)
        if name in MATRIX:
            return MATRIX[name](rows)
        if rows.shape[0] != rows.shape[1]:
            raise ShapeMismatchError
        return log_determinant(rows)

    return apply


def binary_value(name: str):
    """The same with two arguments; a single number fits anything."""

    def apply(x, y):
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if name in MATRIX:
            if x.ndim == 0 or y.ndim == 0:
                raise ShapeMismatchError
            rows = x.reshape(len(x), -1), y.reshape(len(y), -1)
            if rows[0].shape[1] != rows[1].shape[1]:
                raise ShapeMismatchError
            return MATRIX[name](*rows)
        if x.ndim and y.ndim and x.shape != y.shape:
            raise ShapeMismatchError
        if name in BINARY:
            return BINARY[name](x, y)
        x, y = np.broadcast_arrays(x.ravel(), y.ravel())
        return COMPARISONS[name](x, y)

    return apply


def _sequential(x, *operators):
    for operator in operators:
        x = operator(x)
    return np.mean(x)


def _branched(binary, x, one, two, y, three, four):  # noqa: PLR0917 - as EMQ writes it
    return np.mean(binary(np.mean(two(one(x))), np.mean(four(three(y)))))


def _dag(x, y, *edges):
    a, b, c, d, e, f, g, h, i = edges
    first = fitting_sum(a(x), b(y))
    second = fitting_sum(c(x), d(y), e(first))
    third = fitting_sum(f(x), g(y), h(first), i(second))
    return (np.mean(first) + np.mean(second) + np.mean(third)) / 3


def fitting_sum(*terms):
    shapes = {np.shape(term) for term in terms if np.ndim(term)}
    if len(shapes) > 1:
        raise ShapeMismatchError
    return sum(np.asarray(term) for term in terms)


STRUCTURES = {"sequential": _sequential, "branched": _branched, "dag": _dag}

__all__ = ["Reference", "agree", "binary_value", "unary_value"]
