"""The leaves of the trees: named quantities of a network, and what each is computed from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from gp_emq.statistics import STATISTICS as COLLECTED
from gp_emq.statistics import Aspect, Statistic, Statistics
from primitives._types import TREE_TYPES, Activations, Weights


def _as_it_is(statistic: torch.Tensor) -> torch.Tensor:
    return statistic


@dataclass(frozen=True)
class Terminal:
    """A named leaf of a tree.

    Args:
        name: The name in expressions.
        type: The type of its value; one of `primitives.TREE_TYPES`.
        symbol: How readable mathematics writes it.
        description: One line.
        needs: Names of the statistics it is computed from.
        compute: Gives the value from those: a flat tensor (elements,) of `Weights` and
            `Activations`, (bits, elements) of `WeightsPerBit` and `ActivationsPerBit`, (entries,)
            of `LayerVector`, (entries, bits) of `BitTable`.
        informative: Whether it says anything of the network; the bit widths alone do not.
        non_negative: Whether it is never below zero.
        exponent: What rescaled weights make of it, see `gp_emq.statistics.Statistic`; None where
            that is not known.
    """

    name: str
    type: type
    symbol: str
    description: str
    needs: tuple[str, ...]
    compute: Callable[..., torch.Tensor] = _as_it_is
    informative: bool = True
    non_negative: bool = False
    exponent: float | None = None

    @property
    def aspects(self) -> frozenset[Aspect]:
        """What of the network it needs beside the weights."""
        return frozenset[Aspect]().union(*(COLLECTED[name].aspects for name in self.needs))

    def value(self, statistics: Statistics) -> torch.Tensor:
        """Compute the value from the statistics of a network."""
        return self.compute(*(statistics.tensor(name) for name in self.needs))


_TYPES = {kind.__name__: kind for kind in TREE_TYPES}


def leaf_of(statistic: Statistic) -> Terminal:
    """Give the terminal that stands for a statistic."""
    return Terminal(
        statistic.leaf or statistic.name,
        _TYPES[statistic.kind],
        statistic.symbol,
        statistic.description,
        (statistic.name,),
        informative=statistic.informative,
        non_negative=statistic.non_negative,
        exponent=statistic.exponent,
    )


TERMINALS: tuple[Terminal, ...] = (
    *map(leaf_of, COLLECTED.values()),
    Terminal("gradient_times_weight", Weights, "∇W·W", "weight gradient times weight",
             ("weight_gradient", "weight"), torch.mul, exponent=0),
    Terminal("gradient_times_activation", Activations, "∇A·A",
             "activation gradient times activation",
             ("activation_gradient", "activation"), torch.mul, exponent=0),
)  # fmt: skip
"""Every built-in terminal: the statistics, and what is made of several of them."""
