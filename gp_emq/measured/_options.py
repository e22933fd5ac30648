"""What the user may ask to measure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gp_emq import quantization
from gp_emq.errors import AllocationError
from gp_emq.measured._names import DIVERGENCE, HELD_BACK, LEAST_PLANS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What to measure of plans, and by.

    Attributes:
        measure: Measurements of a search; None for none.
        minutes: Its time; None for no limit.
        calibrate: Random plans that correct the table; None for none.
        interactions: Which pairs of entries to measure around the plan, one of `REACHES`; None for
            none.
        measure_images: Images to measure on.
        measure_loss: One of `LOSSES`.
        measure_method: The recipe that quantizes; None for the network's usual one.
        max_drop: How much of the metric may be lost; None where that is not asked.

    Raises:
        AllocationError: There are too few plans to calibrate by.
    """

    measure: int | None = None
    minutes: float | None = None
    calibrate: int | None = None
    interactions: str | None = None
    measure_images: int = HELD_BACK
    measure_loss: str = DIVERGENCE
    measure_method: str | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        if self.calibrate is not None and self.calibrate < LEAST_PLANS:
            raise AllocationError(
                f"--calibrate must be at least {LEAST_PLANS}, not {self.calibrate}"
            )

    def method_for(self, model: "nn.Module") -> str:
        """Name the recipe that quantizes a model: the one asked for, or its usual one."""
        return self.measure_method or quantization.recipes.usual_method(model)

    @property
    def wanted(self) -> bool:
        """Whether anything is to be measured."""
        asked = (
            self.measure,
            self.minutes,
            self.calibrate,
            self.interactions,
            self.max_drop,
        )
        return any(option is not None for option in asked)

    @property
    def searches(self) -> bool:
        """Whether better plans are looked for by measuring."""
        return self.measure is not None or self.minutes is not None
