"""Which of ONNX's integer types holds a grid, and what it stores."""

from dataclasses import dataclass

from gp_emq.errors import ExportError

MIN_OPSET, DEFAULT_OPSET, MAX_OPSET = 18, 21, 25
BLOCKS_OPSET = 21
"""The first with several scales along an axis."""

_FIRST_OPSETS = {8: MIN_OPSET, 4: 21, 2: 25}
"""The opsets from which on quantization knows the integers of a width."""


@dataclass(frozen=True)
class IntegerType:
    """An integer type of ONNX.

    Attributes:
        bits: Its width: 2, 4 or 8.
        signed: Whether it has a sign.
    """

    bits: int
    signed: bool

    @property
    def name(self) -> str:
        """As ONNX has it, in small letters: `"int4"`."""
        return f"{'' if self.signed else 'u'}int{self.bits}"


def integer_type(bits: int, opset: int, *, signed: bool) -> IntegerType:
    """Return the narrowest type that holds the integers of a width.

    Args:
        bits: 2 to 8.
        opset: Of the graph.
        signed: Whether the integers have a sign.
    """
    known = [width for width, first in _FIRST_OPSETS.items() if first <= opset and width >= bits]
    return IntegerType(min(known), signed)


def check_opset(opset: int) -> None:
    """Refuse an opset that graphs are not written in.

    Raises:
        ExportError: It is not between `MIN_OPSET` and `MAX_OPSET`.
    """
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise ExportError(f"the opset must be {MIN_OPSET} to {MAX_OPSET}, not {opset}")
