"""What widths cost: size, average bits, bit operations, or what the user measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gp_emq.allocation._space import EXCLUDED, FLOAT_BITS, Configuration, Space
from gp_emq.errors import AllocationError
from gp_emq.networks import (
    ACCOUNTINGS,
    PER_CHANNEL,
    Granularity,
    bit_operations_table,
    float_sizes,
    size_table,
)
from gp_emq.quantization import MAX_BITS, MIN_BITS

Costs = Mapping[tuple[int, int], float]
"""Cost by entry and width, for every width that the entry may take."""


@dataclass(frozen=True)
class CostSettings:
    """How costs are counted.

    Attributes:
        accounting: Of sizes, `"published"` or `"stored"`; see `gp_emq.networks.size_table`.
        granularity: For the stored size, what of a weight shares a scale.
        symmetric: For the stored size, no zero points.
        activation_bits: Of the inputs of quantized layers, for bit operations; 32 for float.
        beside_bytes: Bytes of a packed file that belong to no layer, for budgets in bytes; see
            `gp_emq.export.bytes_beside`.

    Raises:
        AllocationError: The accounting is unknown, or the width is none.
    """

    accounting: str = "published"
    granularity: Granularity = PER_CHANNEL
    symmetric: bool = True
    activation_bits: int = 8
    beside_bytes: int = 0

    def __post_init__(self) -> None:
        if self.accounting not in ACCOUNTINGS:
            known = ", ".join(ACCOUNTINGS)
            raise AllocationError(f"unknown accounting {self.accounting!r}: known are {known}")
        if self.activation_bits not in (*range(MIN_BITS, MAX_BITS + 1), FLOAT_BITS):
            raise AllocationError(
                f"activation bits must be {MIN_BITS} to {MAX_BITS}, or {FLOAT_BITS} for float, "
                f"not {self.activation_bits!r}"
            )


@dataclass(frozen=True)
class Budget:
    """A limit on what a configuration costs.

    Attributes:
        name: What is limited.
        unit: Of the limit, empty where it has none.
        limit: Most that it may cost.
        costs: By entry and width, in that unit.
    """

    name: str
    unit: str
    limit: float
    costs: Costs

    def total(self, configuration: Configuration) -> float:
        """Cost of a configuration."""
        return total(self.costs, configuration)


def total(costs: Costs, configuration: Configuration) -> float:
    """Sum costs over the entries of a configuration."""
    return math.fsum(costs[entry, width] for entry, width in enumerate(configuration))


def size_costs(space: Space, settings: CostSettings, accounting: str) -> Costs:
    """Bytes by entry and width; layers that stay in float take four bytes per number."""
    widths = space.all_widths
    table = size_table(
        space.layers,
        widths,
        accounting,
        granularity=settings.granularity,
        symmetric=settings.symmetric,
    )
    floats = float_sizes(space.layers, accounting)
    return {
        (entry, width): float(
            floats[entry] if width == FLOAT_BITS else table[entry, widths.index(width)]
        )
        for entry, allowed in enumerate(space.widths)
        for width in allowed
    }


def file_costs(space: Space, settings: CostSettings) -> Costs:
    """Bytes of all numbers of a packed file; what belongs to no layer counts with the first."""
    return {
        (entry, width): size + (settings.beside_bytes if entry == 0 else 0)
        for (entry, width), size in size_costs(space, settings, "stored").items()
    }


def average_costs(space: Space) -> Costs:
    """Share of the average width, weighted by parameters, over the layers that are quantized."""
    parameters = [0] * len(space.widths)
    for layer in space.layers:
        if space.decisions[layer.entry] != EXCLUDED:
            parameters[layer.entry] += layer.parameters
    whole = sum(parameters)
    return {
        (entry, width): parameters[entry] * width / whole
        for entry, allowed in enumerate(space.widths)
        for width in allowed
    }


def bit_operation_costs(space: Space, settings: CostSettings) -> Costs:
    """Bit operations of one image; the inputs of layers that stay in float do so, too."""
    widths = space.all_widths
    table = bit_operations_table(space.layers, widths, settings.activation_bits)
    in_float = FLOAT_BITS / settings.activation_bits
    return {
        (entry, width): float(table[entry, widths.index(width)])
        * (in_float if width == FLOAT_BITS else 1.0)
        for entry, allowed in enumerate(space.widths)
        for width in allowed
    }


def scaled(costs: Costs, divisor: float) -> Costs:
    """Costs in another unit."""
    return {key: value / divisor for key, value in costs.items()}
