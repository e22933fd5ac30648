"""How well scores rank accuracies, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import interval, kendall_tau, resampled_taus, why_unrankable

RESAMPLES = 1000


@dataclass(frozen=True)
class Agreement:
    """Kendall tau and what it is on bootstrap resamples of the configurations.

    Attributes:
        tau: Kendall tau-b, nan where the accuracies cannot be ranked.
        undefined: why they cannot, else empty.
        resampled: float64 (resamples,), the same on each resample; those of two agreements
            with the same accuracies and the same seed belong together.
    """

    tau: float
    resampled: NDArray[np.float64]
    undefined: str = ""

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return interval(self.resampled)[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return interval(self.resampled)[1]

    def minus(self, other: "Agreement") -> tuple[float, float]:
        """The paired 95 % interval of this tau minus another on the same configurations."""
        return interval(self.resampled - other.resampled)

    def __str__(self) -> str:
        """Short enough for a title."""
        if self.undefined:
            return "–"
        return f"{self.tau:.2f} [{self.low:.2f}, {self.high:.2f}]"


def agreement(
    scores: NDArray[np.float64], accuracies: NDArray[np.float64], *, seed: int = 0
) -> Agreement:
    """Kendall tau-b with the percentile interval of 1,000 bootstrap resamples.

    Args:
        scores: float64 (n,).
        accuracies: float64 (n,), of the same test configurations.
        seed: of the resampling.
    """
    reason = why_unrankable(accuracies, "test configurations")
    if reason:
        return Agreement(np.nan, np.full(RESAMPLES, np.nan), reason)
    # The draws are those of a run's summary, so that a figure shows the interval it printed.
    resampled = resampled_taus(scores, accuracies, resamples=RESAMPLES, seed=seed)
    return Agreement(kendall_tau(scores, accuracies), resampled)
