"""Sweeps as JSON files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gp_emq.allocation._sweep import AXES, Sweep, SweepPoint
from gp_emq.errors import AllocationError
from gp_emq.files import atomic_write_text, read_document, shortened

FORMAT = 1


def save_sweep(sweep: Sweep, path: Path) -> None:
    """Write a sweep as JSON; equal sweeps give equal bytes.

    Args:
        sweep: The sweep.
        path: The file; its folder must exist.

    Raises:
        RunError: The file cannot be written.
    """
    document = {"format": FORMAT, "unit": AXES[sweep.axis], **asdict(sweep)}
    text = json.dumps(document, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    atomic_write_text(path, text + "\n")


@dataclass(frozen=True)
class _Document:
    """A sweep as its file holds it, beside the format."""

    axis: str
    unit: str
    points: tuple[SweepPoint, ...]


def load_sweep(path: Path | str) -> Sweep:
    """Read and check a sweep.

    Args:
        path: The JSON file.

    Raises:
        AllocationError: The file is missing, damaged or of another format; the message says
            where.
    """
    path = Path(path)
    found = read_document(path, _Document, AllocationError, "the sweep", form=FORMAT)
    if AXES.get(found.axis) != found.unit:
        raise AllocationError(
            f"{path} is over {shortened(found.axis)} in {shortened(found.unit)}: known are "
            f"{', '.join(AXES)}"
        )
    sizes = {len(point.configuration) for point in found.points}
    if len(sizes) > 1:
        raise AllocationError(
            f"{path} is damaged: its configurations have {sorted(sizes)[:4]} widths"
        )
    return Sweep(found.axis, found.points)
