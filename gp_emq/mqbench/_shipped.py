"""Which benches ship with the package."""

import difflib
from collections.abc import Sequence
from pathlib import Path

BENCH_FOLDER = Path(__file__).parent / "data"


def list_benches() -> tuple[str, ...]:
    """Return the names of the benches that ship with the package, sorted."""
    return tuple(sorted(path.stem for path in BENCH_FOLDER.glob("*.safetensors")))


def close_names(name: str, known: Sequence[str] | None = None) -> str:
    """Ask whether a bench was meant whose name is like one that is unknown.

    Args:
        name: the unknown one.
        known: names that there are; those of `list_benches` by default.
    """
    found = difflib.get_close_matches(name, known or list_benches(), n=3)
    return f"did you mean {' or '.join(found)}? " if found else ""
