"""Every operator once more, from its documented formula, with numpy and scipy."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.spatial import distance

Array = NDArray[np.float64]


def sign(x: Array) -> Array:
    return np.where(np.isnan(x), 0.0, np.sign(x))


UNARY: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "abs": np.abs,
    "negate": np.negative,
    "sign": sign,
    "square": lambda x: x * x,
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0)),
    "reciprocal": lambda x: 1 / (x + 1e-9),
    "log": np.log,
    "log_abs": lambda x: np.log(np.abs(x)),
    "exp": np.exp,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, x / 100),
    "sigmoid": special.expit,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "swish": lambda x: x * special.expit(x),
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "less": lambda x, y: np.where(x < y, 1.0, 0.0),
    "greater": lambda x, y: np.where(x > y, 1.0, 0.0),
    "equal": lambda x, y: np.where(x == y, 1.0, 0.0),
}
NORMALISERS: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda x: special.softmax(x, axis=0),
    "log_softmax": lambda x: special.log_softmax(x, axis=0),
    "z_normalise": lambda x: (x - np.mean(x)) / np.std(x),
    "min_max": lambda x: (x - np.min(x)) / np.ptp(x),
}
REDUCTIONS: dict[str, Callable[[Array], float]] = {
    "mean": np.mean,
    "sum": np.sum,
    "l1_mean": lambda x: np.mean(np.abs(x)),
    "frobenius_norm": np.linalg.norm,
    "standard_deviation": np.std,
    "variance": np.var,
    "minimum": np.min,
    "maximum": np.max,
}
COMPARISONS: dict[str, Callable[[Array, Array], float]] = {
    "mse": lambda x, y: np.mean((x - y) ** 2),
    "l1_distance": lambda x, y: distance.cityblock(x, y) / len(x),
    "pairwise_distance": lambda x, y: np.linalg.norm(x - y),
    "cosine_similarity": lambda x, y: x @ y / (np.linalg.norm(x) * np.linalg.norm(y)),
    # By logarithms, since a softmax may vanish where its logarithm does not.
    "kl_divergence": lambda x, y: np.sum(
        special.softmax(x) * (special.log_softmax(x) - special.log_softmax(y))
    ),
    "hamming_distance": lambda x, y: distance.hamming(sign(x), sign(y)),
}
MATRIX: dict[str, Callable[..., Array]] = {
    "gram": lambda x: x @ x.T,
    "row_distances": lambda x: distance.cdist(x, x),
    "matrix_product": lambda x, y: x @ y.T,
}


def power(x: Array, exponent: float) -> Array:
    return np.copysign(np.abs(x) ** exponent, x)


def log_determinant(matrix: Array) -> float:
    if not np.isfinite(matrix).all():
        return np.nan
    return np.linalg.slogdet(matrix).logabsdet
