"""The leaves of the trees: named quantities of a network, and what each is computed from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from primitives._types import Activations, BitTable, LayerVector, Weights, WeightsPerBit

if TYPE_CHECKING:
    from gp_emq.statistics import Statistics


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
            `Activations`, (bits, elements) of `WeightsPerBit`, (entries,) of `LayerVector`,
            (entries, bits) of `BitTable`.
        informative: Whether it says anything of the network; the bit widths alone do not.
    """

    name: str
    type: type
    symbol: str
    description: str
    needs: tuple[str, ...]
    compute: Callable[..., torch.Tensor] = _as_it_is
    informative: bool = True

    def value(self, statistics: "Statistics") -> torch.Tensor:
        """Compute the value from the statistics of a network."""
        return self.compute(*(statistics.tensor(name) for name in self.needs))


def _statistic(name: str, kind: type, symbol: str, description: str) -> Terminal:
    return Terminal(name, kind, symbol, description, (name,), informative=name != "bits")


def _product(name: str, factors: tuple[str, str], kind: type, symbol: str, text: str) -> Terminal:
    return Terminal(name, kind, symbol, text, factors, torch.mul)


TERMINALS: tuple[Terminal, ...] = (
    _statistic("weight", Weights, "W", "the weights"),
    _statistic("weight_gradient", Weights, "∇W", "gradient of the loss by the weights"),
    _statistic("virtual_gradient", Weights, "V",
               "gradient of the summed logits by the weights, on an all-ones input"),
    _statistic("synflow_gradient", Weights, "Vₐ", "the same on absolute parameters"),
    _statistic("hessian_gradient", Weights, "H∇W", "Hessian of the loss times its gradient"),
    _statistic("hessian_diagonal", Weights, "diag H", "diagonal of the Hessian of the loss"),
    _statistic("fisher_diagonal", Weights, "diag F", "mean squared per-sample gradient"),
    _product("gradient_times_weight", ("weight_gradient", "weight"), Weights, "∇W·W",
             "weight gradient times weight"),
    Terminal("quantization_perturbation", WeightsPerBit, "ΔW", "Q_b(W) − W for every bit choice",
             ("perturbation",)),
    _statistic("activation", Activations, "A", "output of each layer, before batch norm"),
    _statistic("activation_gradient", Activations, "∇A", "gradient of the loss by that output"),
    _product("gradient_times_activation", ("activation_gradient", "activation"), Activations,
             "∇A·A", "activation gradient times activation"),
    _statistic("hessian_trace", LayerVector, "tr H", "trace of each layer's Hessian block"),
    _statistic("hessian_top_eigenvalue", LayerVector, "λ", "its largest eigenvalue"),
    _statistic("parameter_count", LayerVector, "n", "number of parameters"),
    _statistic("macs", LayerVector, "m", "multiply-accumulate operations per image"),
    _statistic("depth", LayerVector, "d", "position in forward order, from 0"),
    _statistic("bits", BitTable, "b", "the bit widths themselves"),
    _statistic("quantization_mse", BitTable, "mse(ΔW)", "mean squared quantization error"),
)  # fmt: skip
"""Every terminal there is."""
