"""The errors a caller may want to catch; every one carries a single clear line."""

from typing import ClassVar

LONGEST_MESSAGE = 900
"""Characters; of a message that quotes more than that out of a file, the middle is left out."""


class GpEmqError(Exception):
    """Something the user gave is wrong; the message says what, and what would be right.

    Commands print the message as one line and exit with status 2. Whatever a message quotes out of
    a file, it stays one line of bounded length.

    Args:
        message: What is wrong.
    """

    status: ClassVar[int] = 2
    """What commands exit with."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_as_one_line(str(message)))


def _as_one_line(text: str) -> str:
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    if len(printable) <= LONGEST_MESSAGE:
        return printable
    half = LONGEST_MESSAGE // 2
    return f"{printable[:half]} … {printable[-half:]}"


class BenchError(GpEmqError):
    """A bench is unknown, damaged or inconsistent."""


class DataError(GpEmqError):
    """Images, labels or weights are missing or do not fit."""


class NetworkError(GpEmqError):
    """A network is unknown or has nothing to quantize."""


class StatisticsError(GpEmqError):
    """A statistic is unknown, or stored statistics are not those of a run."""


class ExpressionError(GpEmqError):
    """An expression does not parse or does not type-check."""


class PrimitiveSetError(GpEmqError):
    """A primitive set is unknown, does not load, or cannot build a tree."""


class OperatorError(GpEmqError):
    """An operator or terminal of a user's own fails on what a tree gives it.

    Args:
        name: The operator.
        what: What it does, such as ``raises ValueError``; the same for every tree.
        detail: What else there is to say.
    """

    def __init__(self, name: str, what: str, detail: str = "") -> None:
        self.reason = f"{name} {what}"
        super().__init__(f"operator {name!r} {what}" + (f": {detail}" if detail else ""))


class RunError(GpEmqError):
    """A run folder is no run, is damaged, or does not fit what was asked."""


class TrainingError(GpEmqError):
    """A network cannot be trained as asked, or a checkpoint is damaged or of another training."""


class AllocationError(GpEmqError):
    """A budget cannot be met, a table cannot rank, layers are wrong, or a plan is damaged."""


class InfeasibleError(AllocationError):
    """No plan keeps the budgets; the message says which, and the nearest value that can be met."""

    status = 4


class ExportError(GpEmqError):
    """A quantized network cannot be stored as asked, or a file of one is damaged."""


class QuantizationError(GpEmqError):
    """A plan does not fit its network, a method is unknown, or a quantized network is damaged."""


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is one of Python's, numpy's, torch's or CUDA's ways to say so."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )
