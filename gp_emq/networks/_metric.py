"""What a network loses, and how well it does, by functions of the user's own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gp_emq.errors import DataError, GpEmqError, StatisticsError
from gp_emq.networks._divergence import described
from gp_emq.networks._own_code import said

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

    Raises:
        DataError: if the name is no text, or what measures is no function.

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

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DataError(f"the name of a metric is text, not {type(self.name).__name__}")
        check_function(self.measure, f"metric {self.name}", "function(outputs, targets)")


def check_function(given: object, what: str, wanted: str) -> None:
    """Refuse what cannot be called, or would make an object when it is.

    Args:
        given: by the user.
        what: it is.
        wanted: what it should be.

    Raises:
        DataError: it is no function.
    """
    if isinstance(given, type):
        raise DataError(f"{what} is the class {given.__name__}, not {wanted}: give one of it")
    if not callable(given):
        raise DataError(f"{what} is {type(given).__name__}, not {wanted}")


def judged(judge: Callable[[Any, Any], Any], what: str, outputs: Any, targets: Any) -> object:
    """Call a loss or a metric of the user's own.

    Raises:
        StatisticsError: if it raises anything.
    """
    try:
        return judge(outputs, targets)
    except GpEmqError:
        raise
    except Exception as error:
        raise StatisticsError(
            f"{what} fails on outputs that are {described(outputs)} and targets that are "
            f"{described(targets)}: {said(error)}"
        ) from error
