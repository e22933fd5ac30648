"""What may be chosen: the widths that each entry may take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gp_emq.errors import AllocationError
from gp_emq.networks import Layer, entry_layers
from gp_emq.quantization import MAX_BITS, MIN_BITS

FLOAT_BITS = 32
"""Width of what is not quantized."""

Configuration = tuple[int, ...]
"""One width per entry; `FLOAT_BITS` where an entry is excluded."""

CHOSEN, FIXED, EXCLUDED = "chosen", "fixed", "excluded"
DECISIONS = (CHOSEN, FIXED, EXCLUDED)
"""Who decided the width of an entry."""


@dataclass(frozen=True)
class Space:
    """The widths that each entry may take.

    Attributes:
        layers: In forward order.
        bits: The widths that a table's columns stand for, rising.
        widths: For each entry the widths it may take, rising.
        decisions: For each entry one of `DECISIONS`.
    """

    layers: tuple[Layer, ...]
    bits: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    decisions: tuple[str, ...]

    @property
    def entry_names(self) -> tuple[str, ...]:
        """Name of each entry's first layer."""
        return tuple(self.layers[group[0]].name for group in entry_layers(self.layers))

    @property
    def all_widths(self) -> tuple[int, ...]:
        """Every width that some entry may take, rising."""
        return tuple(sorted({width for widths in self.widths for width in widths}))


def search_space(
    layers: Sequence[Layer],
    bits: Sequence[int],
    *,
    fix: Mapping[str, int] | None = None,
    exclude: Sequence[str] = (),
    choices: Mapping[str, Sequence[int]] | None = None,
) -> Space:
    """Say which widths each entry may take.

    Patterns are layer names in which `*`, `?` and `[...]` stand for others. Tied layers go
    together: what holds for one of them holds for all. Of several patterns that match, the last
    one counts; exclusion counts before a fixed width, and that before bit choices.

    Args:
        layers: In forward order.
        bits: The widths that a table's columns stand for, rising.
        fix: A width by pattern, 2 to 8; it need not be among the bits.
        exclude: Patterns of layers that stay in float.
        choices: Some of the bits by pattern.

    Raises:
        AllocationError: Bits that do not rise, a width out of range, or a pattern that matches
            no layer.
    """
    bits = tuple(bits)
    if not bits or list(bits) != sorted(set(bits)):
        raise AllocationError(f"bits must rise, like 2,3,4, not {','.join(map(str, bits))}")
    for width in bits:
        _check_width(width, "bit choice")
    groups = entry_layers(layers)
    widths: list[tuple[int, ...]] = [bits] * len(groups)
    decisions = [CHOSEN] * len(groups)
    for pattern, chosen in (choices or {}).items():
        allowed = tuple(sorted(set(chosen)))
        if not allowed or not set(allowed) <= set(bits):
            raise AllocationError(
                f"the choices of {pattern!r} must be among the bits {_listed(bits)}, "
                f"not {_listed(chosen)}"
            )
        for entry in _matching(pattern, layers):
            widths[entry] = allowed
    for pattern, width in (fix or {}).items():
        _check_width(width, f"fixed width of {pattern!r}")
        for entry in _matching(pattern, layers):
            widths[entry], decisions[entry] = (width,), FIXED
    for pattern in exclude:
        for entry in _matching(pattern, layers):
            widths[entry], decisions[entry] = (FLOAT_BITS,), EXCLUDED
    if all(decision == EXCLUDED for decision in decisions):
        raise AllocationError("every layer is excluded: nothing is left to quantize")
    return Space(tuple(layers), bits, tuple(widths), tuple(decisions))


def _matching(pattern: str, layers: Sequence[Layer]) -> set[int]:
    """Entries of which a layer's name matches."""
    found = {layer.entry for layer in layers if fnmatchcase(layer.name, pattern)}
    if not found:
        names = [layer.name for layer in layers]
        shown = ", ".join(names if len(names) <= 24 else [*names[:22], "...", names[-1]])
        raise AllocationError(f"{pattern!r} matches no layer; there are {shown}")
    return found


def _check_width(width: int, what: str) -> None:
    if not MIN_BITS <= width <= MAX_BITS:
        raise AllocationError(f"{what} must be {MIN_BITS} to {MAX_BITS} bits, not {width}")


def _listed(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths)) or "none"
