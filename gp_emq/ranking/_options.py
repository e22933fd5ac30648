"""What the user may choose about a ranking."""

from dataclasses import dataclass

from gp_emq.proxies import ALIGNED

SPLITS = ("test", "validation", "training", "all")
FORMATS = ("table", "json", "csv", "markdown")


@dataclass(frozen=True)
class RankOptions:
    """How to rank.

    Attributes:
        split: Which configurations to rank on.
        resamples: Bootstrap resamples.
        seed: Seed of resamples and calibration repeats.
        calibration_repeats: How many random halves of the calibration batch to repeat on.
        form: Form of the hand-crafted proxies.
    """

    split: str = "test"
    resamples: int = 1000
    seed: int = 0
    calibration_repeats: int = 0
    form: str = ALIGNED
