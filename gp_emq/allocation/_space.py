"""What may be chosen: the widths that each entry may take."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gp_emq.allocation._patterns import described, rulings
from gp_emq.errors import AllocationError
from gp_emq.networks import Layer, entry_layers
from gp_emq.proxies._table import check_bits
from gp_emq.quantization import MAX_BITS, MIN_BITS

_Value = TypeVar("_Value")

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

    Patterns are layer names in which `*`, `?` and `[...]` stand for others; the name of a layer
    means that layer alone. Layers that are tied or share one weight go together: what holds for
    one of them holds for all. A name counts before patterns, and of several patterns that match
    the last one counts; exclusion counts before a fixed width, and that before bit choices.

    Args:
        layers: In forward order.
        bits: The widths that a table's columns stand for, rising.
        fix: A width by pattern, 2 to 8; it need not be among the bits.
        exclude: Patterns of layers that stay in float.
        choices: Some of the bits by pattern.

    Raises:
        AllocationError: Bits that do not rise, a width out of range, a pattern that matches no
            layer, or names and patterns that ask for different things of one entry.
    """
    bits = check_bits(bits)
    if not layers:
        raise AllocationError("there are no layers: nothing can be chosen")
    allowed = [(pattern, _choice(pattern, some, bits)) for pattern, some in _items(choices)]
    fixed = [(pattern, _width(pattern, width)) for pattern, width in _items(fix)]
    if isinstance(exclude, str):
        raise AllocationError(f"exclude must be a list of patterns, like [{exclude!r}]")
    widths: list[tuple[int, ...]] = [bits] * len(entry_layers(layers))
    decisions = [CHOSEN] * len(widths)
    for entry, choice in rulings(allowed, layers, "choices").items():
        widths[entry] = choice.value
    fixings = rulings(fixed, layers, "fixed widths")
    for entry, fixing in fixings.items():
        widths[entry], decisions[entry] = (fixing.value,), FIXED
    exclusions = rulings([(pattern, FLOAT_BITS) for pattern in exclude], layers, "exclusions")
    for entry, exclusion in exclusions.items():
        if exclusion.is_exact and entry in fixings and fixings[entry].is_exact:
            raise AllocationError(
                f"{described(entry, layers)} cannot both stay in float and be fixed at "
                f"{fixings[entry].value} bits"
            )
        widths[entry], decisions[entry] = (FLOAT_BITS,), EXCLUDED
    if all(decision == EXCLUDED for decision in decisions):
        raise AllocationError("every layer is excluded: nothing is left to quantize")
    return Space(tuple(layers), bits, tuple(widths), tuple(decisions))


def _items(by_pattern: Mapping[str, _Value] | None) -> list[tuple[str, _Value]]:
    if by_pattern is None:
        return []
    if not isinstance(by_pattern, Mapping):
        raise AllocationError(
            f"fix and choices must be by pattern, like {{'conv1': ...}}, not {by_pattern!r}"
        )
    return list(by_pattern.items())


def _choice(pattern: str, chosen: Sequence[int], bits: tuple[int, ...]) -> tuple[int, ...]:
    try:
        allowed = tuple(sorted({operator.index(width) for width in chosen}))
    except TypeError:
        allowed = ()
    if not allowed or not set(allowed) <= set(bits):
        raise AllocationError(
            f"the choices of {pattern!r} must be among the bits {', '.join(map(str, bits))}, "
            f"not {chosen!r}"
        )
    return allowed


def _width(pattern: str, width: int) -> int:
    try:
        whole = operator.index(width)
    except TypeError:
        whole = 0
    if not MIN_BITS <= whole <= MAX_BITS:
        raise AllocationError(
            f"fixed width of {pattern!r} must be {MIN_BITS} to {MAX_BITS} bits, not {width!r}"
        )
    return whole
