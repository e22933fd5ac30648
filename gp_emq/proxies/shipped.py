"""The evolved formulas that ship with the package."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "data"
"""Halls of fame of the searches whose recommended formulas ship, each named after its formula."""


def shipped_files() -> dict[str, Path]:
    """Return the halls of fame of the formulas that ship, by the formulas' names, sorted."""
    return {path.stem: path for path in sorted(_FOLDER.glob("gp-*.json"))}
