"""What a network loses, and how well it does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Loss = Callable[[Any, Any], Tensor]
"""Of outputs and targets: one loss per sample (n,), or their mean."""


@dataclass(frozen=True)
class Metric:
    """How well a network does.

    Attributes:
        name: what it is called.
        measure: of outputs and targets: one value per sample (n,), whose mean is the metric; or
            one value of all, where it is no mean over samples.
        higher_is_better: its direction.
        per_sample: whether it is the mean of one value per sample.

    Examples:
        >>> import gp_emq
        >>> error = gp_emq.Metric(
        ...     "squared error", lambda y, wanted: (y - wanted).square().mean(1),
        ...     higher_is_better=False,
        ... )
        >>> error.higher_is_better, error.per_sample
        (False, True)
    """

    name: str
    measure: Callable[[Any, Any], Tensor]
    higher_is_better: bool = True
    per_sample: bool = True
