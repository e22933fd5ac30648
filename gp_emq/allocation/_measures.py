"""What a configuration costs, in the measures that plans show."""

from dataclasses import dataclass

from gp_emq.allocation._costs import (
    CostSettings,
    average_costs,
    bit_operation_costs,
    scaled,
    size_costs,
    total,
)
from gp_emq.allocation._space import Configuration, Space
from gp_emq.networks import MEBIBYTE


@dataclass(frozen=True)
class Measures:
    """What a configuration costs.

    Attributes:
        size_mib: Size in MiB by the published accounting.
        stored_mib: Size in MiB of a packed file.
        average_bits: Average width over quantized layers, weighted by parameters.
        bops_g: Bit operations of one image, in 10⁹.
    """

    size_mib: float
    stored_mib: float
    average_bits: float
    bops_g: float


class Meter:
    """Measures configurations.

    Args:
        space: What may be chosen.
        settings: How costs are counted.
    """

    def __init__(self, space: Space, settings: CostSettings) -> None:
        self._published = scaled(size_costs(space, settings, "published"), MEBIBYTE)
        self._stored = scaled(size_costs(space, settings, "stored"), MEBIBYTE)
        self._average = average_costs(space)
        self._operations = scaled(bit_operation_costs(space, settings), 1e9)

    def measure(self, configuration: Configuration) -> Measures:
        """Measure a configuration."""
        return Measures(
            total(self._published, configuration),
            total(self._stored, configuration),
            total(self._average, configuration),
            total(self._operations, configuration),
        )
