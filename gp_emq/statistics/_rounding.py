"""How a recipe rounds weights, where that is learned and not to the nearest."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from gp_emq.networks import Layer


@dataclass(frozen=True)
class Rounding:
    """Gives the weights that a recipe leaves, for what is measured as the recipe leaves networks.

    Attributes:
        identity: Hash of all that the weights depend on beside layer and width; part of the
            fingerprint of statistics.
        weight: Gives a layer's weight at a width, float32 and shaped as the weight; learned when it
            is first asked for.
    """

    identity: str
    weight: Callable[[Layer, int], Tensor]
