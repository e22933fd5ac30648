"""How well scores rank accuracies, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_emq.proxies import kendall_tau, why_unrankable

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
        return float(np.percentile(self.resampled, 2.5))

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return float(np.percentile(self.resampled, 97.5))

    def minus(self, other: "Agreement") -> tuple[float, float]:
        """The paired 95 % interval of this tau minus another on the same configurations."""
        low, high = np.percentile(self.resampled - other.resampled, [2.5, 97.5])
        return float(low), float(high)

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
    # The same draws as those of `gp_emq.proxies.bootstrap_interval`, so that a figure shows
    # the interval that the run's summary printed.
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(scores), size=(RESAMPLES, len(scores)))
    taus = [kendall_tau(scores[draw], accuracies[draw]) for draw in draws]
    return Agreement(kendall_tau(scores, accuracies), np.array(taus))
