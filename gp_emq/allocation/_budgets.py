"""The budgets that a user may give, any of them together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import SupportsFloat, cast

from gp_emq.allocation._costs import (
    Budget,
    Costs,
    CostSettings,
    average_costs,
    bit_operation_costs,
    file_costs,
    scaled,
    size_costs,
)
from gp_emq.allocation._space import FLOAT_BITS, Space
from gp_emq.errors import AllocationError
from gp_emq.files import read_rows, shortened
from gp_emq.networks import MEBIBYTE, Layer, entry_layers

BIT_OPERATIONS = "BOPs"
"""Name of the budget that the width of inputs counts for."""
FILE_SIZE = "file size"
"""Name of the budget that the scales of weights count for."""
_DIGITS = 9
_HEADER = ["layer", "bits", "cost"]


@dataclass(frozen=True)
class CostTable:
    """A cost of one's own, such as milliseconds on some hardware, with its limit.

    Attributes:
        costs: By layer name and width, 32 where the layer stays in float; tied layers add up.
        limit: Most that a configuration may cost.
        name: What it is called.
        unit: Of cost and limit, empty where it has none.

    Raises:
        AllocationError: A cost is no finite number.
    """

    costs: Mapping[tuple[str, int], float]
    limit: float
    name: str = "cost"
    unit: str = ""

    def __post_init__(self) -> None:
        for (layer, width), cost in self.costs.items():
            if not _is_finite(cost):
                raise AllocationError(
                    f"the {self.name} of layer {layer!r} at {width} bits must be a finite number, "
                    f"not {cost!r}"
                )

    @classmethod
    def read(cls, path: Path, limit: float) -> "CostTable":
        """Read a CSV file with the columns `layer,bits,cost`.

        Args:
            path: The file; its name without ending is what the cost is called.
            limit: Most that a configuration may cost.

        Raises:
            AllocationError: The file is missing, or a row is none of this kind.
        """
        rows = read_rows(path, AllocationError, "the costs")
        if not rows or [cell.strip() for cell in rows[0]] != _HEADER:
            raise AllocationError(f"{path} must start with the line {','.join(_HEADER)}")
        costs: dict[tuple[str, int], float] = {}
        for number, row in enumerate(rows[1:], start=2):
            if not row:
                continue
            try:
                name, width, cost = (cell.strip() for cell in row)
                key, value = (name, int(width[:_DIGITS])), float(cost)
            except ValueError:
                raise AllocationError(
                    f"{path}, line {number}: expected a layer, its bits and a cost, "
                    f"not {shortened(','.join(row))}"
                ) from None
            if key in costs:
                raise AllocationError(
                    f"{path}, line {number}: {name[:80]} at {key[1]} bits comes twice"
                )
            if not _is_finite(value):
                raise AllocationError(f"{path}, line {number}: the cost {cost[:40]} is not finite")
            costs[key] = value
        return cls(costs, limit, path.stem)

    def budget(self, space: Space) -> Budget:
        """Give it as a budget.

        Raises:
            AllocationError: A layer lacks the cost of a width that it may take.
        """
        table: dict[tuple[int, int], float] = {}
        for entry, group in enumerate(entry_layers(space.layers)):
            for width in space.widths[entry]:
                table[entry, width] = math.fsum(
                    self._of(space.layers[place], width) for place in group
                )
        return Budget(self.name, self.unit, _limit(self.limit, self.name), table)

    def _of(self, layer: Layer, width: int) -> float:
        if (layer.name, width) in self.costs:
            return self.costs[layer.name, width]
        where = " (it stays in float)" if width == FLOAT_BITS else ""
        raise AllocationError(
            f"{self.name} has no cost of layer {layer.name!r} at {width} bits{where}"
        )


def _is_finite(value: object) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and math.isfinite(float(cast("SupportsFloat", value)))


def make_budgets(
    space: Space,
    settings: CostSettings,
    *,
    size_mib: float | None = None,
    size_mb: float | None = None,
    size_bytes: float | None = None,
    average_bits: float | None = None,
    bops_g: float | None = None,
    costs: tuple[CostTable, ...] = (),
) -> tuple[Budget, ...]:
    """Make budgets of what the user limits; see `gp_emq.allocation.allocate`.

    Raises:
        AllocationError: A limit that is no positive number, or costs that are missing.
    """
    if not isinstance(settings, CostSettings):
        raise AllocationError(
            f"settings is {type(settings).__name__}: give gp_emq.allocation.CostSettings(...)"
        )
    for cost in costs:
        if not isinstance(cost, CostTable):
            raise AllocationError(
                f"costs has {type(cost).__name__}: give gp_emq.allocation.CostTable, which holds "
                "costs and their limit"
            )
    size = size_costs(space, settings, settings.accounting)
    given: list[tuple[str, str, float | None, Costs]] = [
        ("size", "MiB", size_mib, scaled(size, MEBIBYTE)),
        ("size", "MB", size_mb, scaled(size, 1e6)),
        (FILE_SIZE, "bytes", size_bytes, file_costs(space, settings)),
        ("average bits", "", average_bits, average_costs(space)),
        (BIT_OPERATIONS, "G", bops_g, scaled(bit_operation_costs(space, settings), 1e9)),
    ]
    budgets = [
        Budget(name, unit, _limit(limit, name), by)
        for name, unit, limit, by in given
        if limit is not None
    ]
    return (*budgets, *(table.budget(space) for table in costs))


def _limit(limit: float, name: str) -> float:
    if not (_is_finite(limit) and limit > 0):
        raise AllocationError(f"the budget of {name} must be a positive number, not {limit!r}")
    return float(limit)
