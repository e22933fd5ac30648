"""What stays in float with its reasons, in lines of text and in files. No torch."""

from collections.abc import Mapping
from typing import Any

_KEY = "kept_in_float"


def told_reasons(kept: Mapping[str, str], most: int = 5) -> str:
    """Write what stays in float in a line: the first names of each reason, and the reason.

    Args:
        kept: Reasons by name; empty where none is known.
        most: Names that are shown for each reason, where there is more than one beyond.
    """
    names: dict[str, list[str]] = {}
    for name, reason in kept.items():
        names.setdefault(reason, []).append(name)
    parts = []
    for reason, some in names.items():
        shown = some if len(some) <= most + 1 else [*some[:most], "..."]
        parts.append(", ".join(shown) + (f" ({reason})" if reason else ""))
    return "; ".join(parts)


def with_reasons(values: dict[str, Any]) -> dict[str, Any]:
    """Read what stays in float as files had it before they had reasons: a list of names.

    Args:
        values: Of a file, not checked yet.
    """
    kept = values.get(_KEY)
    if not isinstance(kept, list) or not all(isinstance(name, str) for name in kept):
        return values
    return {**values, _KEY: dict.fromkeys(kept, "")}


def with_listed(values: dict[str, Any]) -> dict[str, Any]:
    """Write that nothing stays in float as files always had it: an empty list.

    Args:
        values: Of a file.
    """
    return values if values[_KEY] else {**values, _KEY: []}
