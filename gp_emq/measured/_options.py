"""The options of ``python -m gp_emq.allocate`` that measure plans; nothing slow is imported."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from gp_emq.errors import AllocationError
from gp_emq.measured._names import DIVERGENCE, HELD_BACK, LEAST_PLANS, LOSSES
from gp_emq.options import positive, positive_number, share


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What the command line asks to measure.

    Attributes:
        measure: Measurements of a search; None for none.
        minutes: Its time; None for no limit.
        calibrate: Random plans that correct the table; None for none.
        measure_images: Images to measure on.
        measure_loss: One of `LOSSES`.
        measure_method: The recipe that quantizes.
        max_drop: How much of the metric may be lost; None where that is not asked.
    """

    measure: int | None
    minutes: float | None
    calibrate: int | None
    measure_images: int
    measure_loss: str
    measure_method: str
    max_drop: float | None

    @property
    def wanted(self) -> bool:
        """Whether anything is to be measured."""
        asked = (self.measure, self.minutes, self.calibrate, self.max_drop)
        return any(option is not None for option in asked)

    @property
    def searches(self) -> bool:
        """Whether better plans are looked for by measuring."""
        return self.measure is not None or self.minutes is not None


def add_measure_options(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    Args:
        parser: What to add them to.
    """
    group = parser.add_argument_group(
        "measuring",
        "The plan is really quantized and measured on images that nothing was made by, half of "
        "which choose and half of which confirm. The exit status is 0 where the plan is accepted "
        "and 3 where it loses more than --max-drop.",
    )
    group.add_argument(
        "--measure", type=positive, metavar="N",
        help="look for a better plan by N measurements (100 is a good number)",
    )  # fmt: skip
    group.add_argument(
        "--minutes", type=positive_number, metavar="M",
        help="look for one for M minutes; what is found then depends on the machine",
    )  # fmt: skip
    group.add_argument(
        "--calibrate", type=positive, metavar="N",
        help=f"correct the proxy's table by N measured plans, {LEAST_PLANS} or more (8, 16, 32)",
    )  # fmt: skip
    group.add_argument(
        "--measure-images", type=positive, default=HELD_BACK, metavar="N",
        help=f"images to measure on, beside those of --images (default: {HELD_BACK})",
    )  # fmt: skip
    group.add_argument(
        "--measure-loss", choices=LOSSES, default=DIVERGENCE,
        help="what is measured: how far outputs are from the float network's, or the loss on the "
        f"labels (default: {DIVERGENCE})",
    )  # fmt: skip
    group.add_argument(
        "--measure-method", default="rtn", metavar="METHOD",
        help="what quantizes, as for gp_emq.quantize (default: rtn)",
    )  # fmt: skip
    group.add_argument(
        "--max-drop", type=share, metavar="X",
        help="most of the metric that the plan may lose on the float network, as 0.01 for 1 "
        "percent of top-1",
    )  # fmt: skip


def wants_measuring(options: argparse.Namespace) -> bool:
    """Say whether the command line asks to measure anything."""
    return MeasureOptions(
        **{name: getattr(options, name) for name in MeasureOptions.__dataclass_fields__}
    ).wanted


def measure_options(options: argparse.Namespace, budgets: Sequence[object]) -> MeasureOptions:
    """Read the options.

    Args:
        options: What was parsed.
        budgets: What the plan is limited by.

    Raises:
        AllocationError: There is no plan to measure, or too few plans to calibrate by.
    """
    asked = MeasureOptions(
        **{name: getattr(options, name) for name in MeasureOptions.__dataclass_fields__}
    )
    if asked.wanted and not budgets:
        raise AllocationError("what is measured is a plan: give a budget, not --sweep alone")
    if asked.calibrate is not None and asked.calibrate < LEAST_PLANS:
        raise AllocationError(f"--calibrate must be at least {LEAST_PLANS}, not {asked.calibrate}")
    return asked
