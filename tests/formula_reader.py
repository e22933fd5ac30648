"""Reads formulas as people do: brackets, then powers, then products, then sums, left to right.

What it makes of a formula is computed at once, so that a formula and its tree can be compared.
Values are lists of layers' arrays with a leading bit axis (of length 1 where there is no bit),
lists of matrices, or arrays (entries, 1) and (entries, bits).
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from reference_interpreter import Reference
from reference_operators import (
    BINARY,
    COMPARISONS,
    MATRIX,
    NORMALISERS,
    REDUCTIONS,
    UNARY,
    log_determinant,
)

from primitives import (
    PER_BIT_TYPES,
    STATISTICS,
    Activations,
    BitTable,
    LayerVector,
    Weights,
)

SYMBOLS = {terminal.symbol: terminal for terminal in STATISTICS.values()}
POWERS = {
    "⁻²": lambda x: 1 / x**2,
    "⁻¹": lambda x: 1 / x,
    "^(−½)": lambda x: 1 / np.sqrt(x),
    "^½": np.sqrt,
    "²": np.square,
    "³": lambda x: x**3,
    "^⟨−2⟩": lambda x: np.sign(x) / x**2,
    "^⟨−½⟩": lambda x: np.sign(x) / np.sqrt(np.abs(x)),
    "^⟨½⟩": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
    "^⟨2⟩": lambda x: np.sign(x) * x**2,
}
CALLS = {
    "√": "sqrt", "log": "log", "exp": "exp", "relu": "relu", "leaky_relu": "leaky_relu",
    "σ": "sigmoid", "mish": "mish", "swish": "swish", "sign": "sign", "softmax": "softmax",
    "log softmax": "log_softmax", "z": "z_normalise", "minmax": "min_max", "mean": "mean",
    "Σ": "sum", "std": "standard_deviation", "var": "variance", "min": "minimum",
    "max": "maximum", "gram": "gram", "pdist": "row_distances", "mse": "mse",
    "cos": "cosine_similarity", "KL": "kl_divergence", "hamming": "hamming_distance",
}  # fmt: skip
_words = sorted([*map(re.escape, [*SYMBOLS, *CALLS, *POWERS])], key=len, reverse=True)
TOKEN = re.compile(r"\s*(log\|det|log\||mean\||" + "|".join(_words) + r"|[-+−·/()|‖\[\],<>=ᵀ1])")


@dataclass
class Matrices:
    layers: list[np.ndarray]


class FormulaReader:
    def __init__(self, text: str, statistics) -> None:
        self._reference = Reference(None, statistics)
        self._entries = statistics.layout("Weights").entries
        self._tokens = self._tokenise(text)
        self._at = 0

    @staticmethod
    def _tokenise(text: str) -> list[str]:
        tokens, position = [], 0
        while position < len(text):
            match = TOKEN.match(text, position)
            assert match, f"{text[position:]!r} of {text!r} is no mathematics"
            tokens.append(match.group(1))
            position = match.end()
        return [*tokens, ""]

    def value(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = self._sum()
        assert self._next() == "", "something is left over"
        return value

    def _next(self) -> str:
        return self._tokens[self._at]

    def _take(self, expected: str = "") -> str:
        token = self._tokens[self._at]
        assert not expected or token == expected, f"{expected!r} expected, found {token!r}"
        self._at += 1
        return token

    def _sum(self) -> Any:
        if self._next() == "−":
            self._take()
            value = each(np.negative, self._product())
        else:
            value = self._product()
        while self._next() in ("+", "−"):
            function = np.add if self._take() == "+" else np.subtract
            value = both(function, value, self._product())
        return value

    def _product(self) -> Any:
        value = self._power()
        while self._next() in ("·", "/"):
            function = np.multiply if self._take() == "·" else np.divide
            value = both(function, value, self._power())
        return value

    def _power(self) -> Any:
        value = self._operand()
        while self._next() in POWERS:
            value = each(POWERS[self._take()], value)
        return value

    def _operand(self) -> Any:
        token = self._take()
        if token in self._BRACKETS:
            return self._BRACKETS[token](self)
        if token in SYMBOLS and self._next() != "(":
            return self._statistic(SYMBOLS[token])
        return self._call(CALLS[token])

    def _one_over(self) -> Any:
        self._take("/")
        # The reciprocal has a tiny addend that its formula leaves out.
        return each(UNARY["reciprocal"], self._power())

    def _parenthesised(self) -> Any:
        inner = self._closed(")")
        if self._next() != "(":
            return inner
        self._take("(")
        other = self._closed(")")
        self._take("ᵀ")
        return Matrices([x @ y.T for x, y in zip(rows(inner), rows(other), strict=True)])

    def _comparison(self) -> Any:
        left = self._sum()
        name = {"<": "less", ">": "greater", "=": "equal"}[self._take()]
        return both(BINARY[name], left, self._closed("]"))

    _BRACKETS: ClassVar = {
        "1": _one_over,
        "(": _parenthesised,
        "[": _comparison,
        "|": lambda self: each(np.abs, self._closed("|")),
        "‖": lambda self: self._reduced(np.linalg.norm, self._closed("‖")),
        "log|": lambda self: each(UNARY["log_abs"], self._closed("|")),
        "log|det": lambda self: self._log_determinant(self._closed("|")),
        "mean|": lambda self: self._reduced(REDUCTIONS["l1_mean"], self._closed("|")),
    }

    def _closed(self, mark: str) -> Any:
        value = self._sum()
        self._take(mark)
        return value

    def _call(self, name: str) -> Any:
        self._take("(")
        x = self._sum()
        if name in COMPARISONS:
            self._take("‖" if name == "kl_divergence" else ",")
            return self._reduced(COMPARISONS[name], x, self._closed(")"))
        self._take(")")
        if name in REDUCTIONS:
            return self._reduced(REDUCTIONS[name], x)
        if name in MATRIX:
            return Matrices([MATRIX[name](layer) for layer in rows(x)])
        if name in NORMALISERS:
            return normalised(NORMALISERS[name], x)
        return each(UNARY[name], x)

    def _statistic(self, terminal) -> Any:
        value = self._reference.statistic(terminal.name)
        if terminal.type is LayerVector:
            return value[:, None]
        if terminal.type in (Weights, Activations):
            return [layer[None] for layer in value]
        assert terminal.type in (*PER_BIT_TYPES, BitTable)
        return value

    def _reduced(self, function, *arguments) -> np.ndarray:
        if isinstance(arguments[0], Matrices):
            arguments = tuple([layer[None] for layer in x.layers] for x in arguments)
        bits = max(len(x[0]) for x in arguments)
        result = np.empty((self._entries[-1] + 1, bits))
        for entry in range(len(result)):
            mine = [layer for layer, of in enumerate(self._entries) if of == entry]
            for bit in range(bits):
                flat = [
                    np.concatenate(
                        [x[layer][min(bit, len(x[layer]) - 1)].ravel() for layer in mine]
                    )
                    for x in arguments
                ]
                result[entry, bit] = function(*flat)
        return result

    def _log_determinant(self, x: Matrices) -> np.ndarray:
        total = np.zeros((self._entries[-1] + 1, 1))
        for entry, matrix in zip(self._entries, x.layers, strict=True):
            total[entry, 0] += log_determinant(matrix)
        return total


def rows(x: list[np.ndarray]) -> list[np.ndarray]:
    return [layer[0].reshape(layer.shape[1], -1) for layer in x]


def each(function, x: Any) -> Any:
    if isinstance(x, Matrices):
        return Matrices([function(layer) for layer in x.layers])
    return [function(layer) for layer in x] if isinstance(x, list) else function(x)


def both(function, x: Any, y: Any) -> Any:
    if isinstance(x, list):
        return [function(one, other) for one, other in zip(x, y, strict=True)]
    return function(x, y)


def normalised(function, x: Any) -> Any:
    if isinstance(x, Matrices):
        return each(function, x)
    if isinstance(x, list):
        return [np.stack([function(row) for row in layer]) for layer in x]
    return function(x.ravel()).reshape(x.shape)
