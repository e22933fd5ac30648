"""What names and patterns of layers say of the entries, one decision each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from gp_emq.errors import AllocationError
from gp_emq.files import did_you_mean
from gp_emq.networks import Layer, entry_layers

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Ruling(Generic[_Value]):
    """What holds for an entry.

    Attributes:
        value: What was asked for.
        pattern: The pattern or name that decided it.
        is_exact: Whether that is the name of one of the entry's layers.
    """

    value: _Value
    pattern: str
    is_exact: bool


@dataclass(frozen=True)
class _Match(Generic[_Value]):
    """A pattern and the layers of one entry that it matches."""

    ruling: Ruling[_Value]
    names: frozenset[str]


def rulings(
    asked: Iterable[tuple[str, _Value]], layers: Sequence[Layer], what: str
) -> dict[int, Ruling[_Value]]:
    """Find what holds for each entry that a pattern names.

    The name of a layer is that layer alone, whatever brackets it has, and counts before
    patterns; of several patterns the last one counts. What holds for one layer of an entry holds
    for all.

    Args:
        asked: Patterns, each with a value.
        layers: In forward order.
        what: The values are, in the plural, as complaints call them.

    Returns:
        By entry; entries that no pattern names are missing.

    Raises:
        AllocationError: A pattern matches no layer, or two ask for different things of layers
            that have one width.
    """
    matches: dict[int, list[_Match[_Value]]] = {}
    for pattern, value in asked:
        names = matching(pattern, layers)
        ruling = Ruling(value, pattern, names == {pattern})
        for entry in sorted({layer.entry for layer in layers if layer.name in names}):
            inside = frozenset(layer.name for layer in layers if layer.entry == entry)
            matches.setdefault(entry, []).append(_Match(ruling, names & inside))
    return {entry: _ruling(found, layers, entry, what) for entry, found in matches.items()}


def matching(pattern: str, layers: Sequence[Layer]) -> frozenset[str]:
    """Names of the layers that a name or pattern means.

    Raises:
        AllocationError: There are none.
    """
    names = [layer.name for layer in layers]
    if pattern in names:
        return frozenset({pattern})
    found = frozenset(name for name in names if fnmatchcase(name, str(pattern)))
    if not found:
        hint = did_you_mean(str(pattern), names, most=3)
        shown = ", ".join(names if len(names) <= 24 else [*names[:22], "...", names[-1]])
        raise AllocationError(f"{pattern!r} matches no layer; {hint}there are {shown}")
    return found


def described(entry: int, layers: Sequence[Layer]) -> str:
    """Name the layers of an entry."""
    return " and ".join(repr(layers[place].name) for place in entry_layers(layers)[entry])


def _ruling(
    found: Sequence[_Match[_Value]], layers: Sequence[Layer], entry: int, what: str
) -> Ruling[_Value]:
    """Decide; of names all must agree, of patterns the last one counts if it may."""
    exact = [match for match in found if match.ruling.is_exact]
    last = (exact or found)[-1]
    for match in exact or found:
        apart = not (match.names <= last.names or match.names >= last.names)
        if match.ruling.value != last.ruling.value and (exact or apart):
            raise AllocationError(
                f"the layers {described(entry, layers)} have one width: the {what} of "
                f"{match.ruling.pattern!r} and {last.ruling.pattern!r} contradict each other"
            )
    return last.ruling
