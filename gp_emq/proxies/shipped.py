"""The evolved formulas that ship with the package."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_FOLDER = Path(__file__).parent / "data"
"""Halls of fame of the searches whose recommended formulas ship, each named after its formula."""


WHOLE: Mapping[str, tuple[str, str]] = MappingProxyType({
    "gp-whole": (
        "gp-views",
        "what gp-views says of the configuration, times its divergence with noise and without",
    ),
})  # fmt: skip
"""Formulas that ship and score whole configurations: whose table is in them, and a description."""


def shipped_files() -> dict[str, Path]:
    """Return the halls of fame of the formulas that ship, by the formulas' names, sorted."""
    return {path.stem: path for path in sorted(_FOLDER.glob("gp-*.json"))}
