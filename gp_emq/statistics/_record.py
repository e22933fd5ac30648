"""What a statistic is: one record, from which its collection, its leaf and its page are made."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from gp_emq.statistics._activations import Activations
from gp_emq.statistics._context import Context

Computation = Callable[[Context], Tensor | Activations]
"""Gives a statistic's values from what it may use."""


class Kind(StrEnum):
    """What shape a statistic has; the values are the type names of the trees."""

    WEIGHTS = "Weights"
    WEIGHTS_PER_BIT = "WeightsPerBit"
    ACTIVATIONS = "Activations"
    ACTIVATIONS_PER_BIT = "ActivationsPerBit"
    LAYER_VECTOR = "LayerVector"
    BIT_TABLE = "BitTable"


class Aspect(StrEnum):
    """What of a network a statistic needs beside its weights; ablations leave one out."""

    GRADIENT = "gradient"
    CURVATURE = "curvature"
    ACTIVATION = "activation"
    MEASUREMENT = "measurement"


@dataclass(frozen=True)
class Statistic:
    """One statistic.

    Attributes:
        name: The name it is collected and stored under, and that expressions use.
        kind: Shape of the statistic.
        symbol: How readable mathematics writes it.
        description: What it is, in one line.
        compute: Gives float32 (N,) of `Weights`, `Activations` with float32 (M,), of
            `ActivationsPerBit` (bits, M), float64 (entries,) of a `LayerVector`, float64
            (entries, bits) of a `BitTable`; None for the perturbation, which is never stored.
        aspects: What of the network it needs.
        non_negative: Whether it is never below zero.
        informative: Whether it says anything of the network; the bit widths alone do not.
        leaf: Its name in expressions, where that is another.
        exponent: The power of a > 0 that it is multiplied by where an entry's weights, and biases,
            are multiplied by a and a batch norm behind them undoes that; None where it is none.
    """

    name: str
    kind: Kind
    symbol: str
    description: str
    compute: Computation | None
    aspects: frozenset[Aspect] = frozenset()
    non_negative: bool = False
    informative: bool = True
    leaf: str = ""
    exponent: float | None = None
