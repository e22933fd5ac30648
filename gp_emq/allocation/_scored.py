"""A network that is scored: all that plans for it need, without it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gp_emq.networks import PER_CHANNEL, Granularity, Layer
from gp_emq.proxies import SensitivityTable


@dataclass(frozen=True)
class ScoredNetwork:
    """What answers every budget once a network is scored.

    Attributes:
        table: Its scores; they know layers and widths, from which sizes and costs follow.
        baselines: What plans are compared with, in order; with the scores of those that are
            proxies, and None for `"uniform"` and `"random"`.
        granularity: What of a weight shares a scale, which sizes count.
        seed: Of the random baseline.
        kept_in_float: Weights of the network that are in no layer, with the reason of each.
        beside_bytes: Bytes of a packed file that belong to no layer; None where it is not known.
        activations: Numbers of each layer's input and output for one sample; None where they are
            not known.
        provenance: What the table does not know of itself: network and weights.
    """

    table: SensitivityTable
    baselines: Mapping[str, SensitivityTable | None] = field(default_factory=dict)
    granularity: Granularity = PER_CHANNEL
    seed: int = 0
    kept_in_float: Mapping[str, str] = field(default_factory=dict)
    beside_bytes: int | None = None
    activations: Mapping[str, tuple[int, int]] | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The network's layers in forward order."""
        return self.table.layers

    @property
    def bits(self) -> tuple[int, ...]:
        """The widths of the table's columns, rising."""
        return self.table.bits
