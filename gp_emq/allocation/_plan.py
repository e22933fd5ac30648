"""What an allocation gives: a width per layer, what it costs, and what else there would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gp_emq.allocation._measures import Measures
from gp_emq.allocation._space import EXCLUDED
from gp_emq.networks import PER_CHANNEL, Granularity, Layer


@dataclass(frozen=True)
class PlannedLayer:
    """One layer and its width.

    Attributes:
        layer: The layer.
        bits: Its width, 32 where it stays in float.
        decision: Who decided: `"chosen"`, `"fixed"` or `"excluded"`.
        score: What its entry adds to the score; None for a tied layer but the first, and where
            the width is none that the proxy was asked about.
    """

    layer: Layer
    bits: int
    decision: str
    score: float | None

    @property
    def name(self) -> str:
        """Path of the module within the network."""
        return self.layer.name


@dataclass(frozen=True)
class Target:
    """A budget and what was achieved.

    Attributes:
        name: What is limited.
        unit: Of both values, empty where there is none.
        limit: The budget.
        achieved: What the plan takes of it.
    """

    name: str
    unit: str
    limit: float
    achieved: float


@dataclass(frozen=True)
class Baseline:
    """What another method would choose under the same budgets.

    Attributes:
        name: Of the method.
        bits: Width of each layer, empty where it has no answer.
        score: By the plan's proxy.
        measures: What it costs; None without an answer.
        note: Why there is no answer, else what it says of itself, or empty.
    """

    name: str
    bits: tuple[int, ...]
    score: float | None
    measures: Measures | None
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """A width for every layer of a network.

    Attributes:
        layers: In forward order.
        bits: The widths that could be chosen.
        score: Sum of the table over the entries; the highest there is within the budgets.
        gap: Upper bound of what a better choice could still add to the score; 0 where the plan
            is proven to be the best.
        targets: The budgets.
        measures: What the plan costs.
        not_rising: First layers of the entries whose score falls somewhere as bits rise.
        constant: First layers of the entries whose score is the same at every width that they
            may take; they have the cheapest.
        baselines: Other methods under the same budgets.
        kept_in_float: Weights of the network that belong to no layer that can be quantized, with
            the reason of each; empty where a plan was read that does not say it.
        activation_bits: Of the inputs of quantized layers, as bit operations were counted; None
            where it is not known.
        provenance: Where the plan is from: network, proxy, hashes.
        scale_group: Weights of an output channel that share a scale, as sizes were counted; None
            for no groups.
    """

    layers: tuple[PlannedLayer, ...]
    bits: tuple[int, ...]
    score: float
    gap: float
    targets: tuple[Target, ...]
    measures: Measures
    not_rising: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    kept_in_float: Mapping[str, str] = field(default_factory=dict)
    activation_bits: int | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    scale_group: int | None = None

    @property
    def granularity(self) -> Granularity:
        """What of a weight shares a scale where the user does not say: a group or a channel."""
        return PER_CHANNEL if self.scale_group is None else Granularity(True, self.scale_group)

    @property
    def widths(self) -> dict[str, int]:
        """Width by name of every layer that is quantized."""
        return {
            planned.name: planned.bits for planned in self.layers if planned.decision != EXCLUDED
        }

    def unplanned(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """Names of a network's layers that the plan says nothing of: none, if it is of them.

        Embeddings that a plan of no embedding says nothing of stay in float: they were no layers
        once. Layers whose weights the plan says to stay in float, since no sample called them, do.

        Args:
            layers: The network's, in forward order.
        """
        planned = {planned.name for planned in self.layers}
        planned |= {name.removesuffix(".weight") for name in self.kept_in_float}
        some = any(layer.layer.takes_indices for layer in self.layers)
        return tuple(
            layer.name
            for layer in layers
            if layer.name not in planned and (some or not layer.takes_indices)
        )

    @property
    def configuration(self) -> tuple[int, ...]:
        """Width of every entry, 32 where it stays in float."""
        by_entry = {planned.layer.entry: planned.bits for planned in self.layers}
        return tuple(by_entry[entry] for entry in range(len(by_entry)))
