"""The statistics there are, by name, and the kind (type in the trees) of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gp_emq.errors import StatisticsError


class Kind(StrEnum):
    """What shape a statistic has; the values are the type names of the trees."""

    WEIGHTS = "Weights"
    WEIGHTS_PER_BIT = "WeightsPerBit"
    ACTIVATIONS = "Activations"
    LAYER_VECTOR = "LayerVector"
    BIT_TABLE = "BitTable"


@dataclass(frozen=True)
class Description:
    """One statistic: its kind and one line that says what it is.

    Attributes:
        kind: Shape of the statistic.
        text: What it is, in one line.
    """

    kind: Kind
    text: str


_WEIGHTS = {
    "weight": "the layer's weight",
    "weight_gradient": "gradient of the mean cross-entropy by the weight",
    "virtual_gradient": "gradient of the summed logits for an all-ones image",
    "synflow_gradient": "the virtual gradient with every parameter replaced by its magnitude",
    "hessian_gradient": "Hessian over all layers' weights times the weight gradient",
    "hessian_diagonal": "diagonal of the Hessian, by Hutchinson's estimator",
    "fisher_diagonal": "mean of the squared per-image weight gradients",
}
_ACTIVATIONS = {
    "activation": "output of the layer, before batch norm, for a few images",
    "activation_gradient": "gradient of the batch's mean cross-entropy by that output",
}
_LAYER_VECTOR = {
    "hessian_trace": "trace of the Hessian's block, the sum of the diagonal's estimate",
    "hessian_top_eigenvalue": "eigenvalue of largest magnitude of the Hessian's block",
    "parameter_count": "number of weights and biases",
    "macs": "multiply-accumulate operations for one image",
    "depth": "place in the forward order, counted from 0",
}
_BIT_TABLE = {
    "bits": "the bit width itself",
    "quantization_mse": "mean squared quantization perturbation of the weight",
}
_WEIGHTS_PER_BIT = {"perturbation": "quantized weight minus weight, for every bit width"}

STATISTICS: Mapping[str, Description] = MappingProxyType(
    {
        name: Description(kind, text)
        for kind, group in (
            (Kind.WEIGHTS, _WEIGHTS),
            (Kind.WEIGHTS_PER_BIT, _WEIGHTS_PER_BIT),
            (Kind.ACTIVATIONS, _ACTIVATIONS),
            (Kind.LAYER_VECTOR, _LAYER_VECTOR),
            (Kind.BIT_TABLE, _BIT_TABLE),
        )
        for name, text in group.items()
    }
)
"""Every statistic by name."""


def kind_of(name: str) -> Kind:
    """Look up the kind of a statistic.

    Args:
        name: A key of `STATISTICS`.

    Raises:
        StatisticsError: There is no such statistic.
    """
    try:
        return STATISTICS[name].kind
    except KeyError:
        raise StatisticsError(
            f"unknown statistic {name!r}; there are {', '.join(STATISTICS)}"
        ) from None
