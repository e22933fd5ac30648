"""Sweeps as JSON files."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from gp_emq.allocation._checks import check_scale_group, without_groups
from gp_emq.allocation._names import AXES
from gp_emq.allocation._sweep import Sweep
from gp_emq.errors import AllocationError
from gp_emq.files import check_document, read_document, shortened, write_document

FORMAT = 1


def save_sweep(sweep: Sweep, path: Path) -> None:
    """Write a sweep as JSON; equal sweeps give equal bytes.

    Args:
        sweep: The sweep.
        path: The file; its folder must exist.

    Raises:
        RunError: The file cannot be written.
    """
    values = without_groups(asdict(sweep))
    write_document(path, {"unit": AXES[sweep.axis], **values}, form=FORMAT)


def load_sweep(path: Path | str) -> Sweep:
    """Read and check a sweep.

    Args:
        path: The JSON file.

    Raises:
        AllocationError: The file is missing, damaged or of another format; the message says
            where.
    """
    path = Path(path)
    values = read_document(path, dict[str, Any], AllocationError, "the sweep", form=FORMAT)
    unit = values.pop("unit", None)
    found = check_document(values, Sweep, AllocationError, str(path))
    if found.axis not in AXES or AXES[found.axis] != unit:
        raise AllocationError(
            f"{path} is over {shortened(found.axis)} in {shortened(unit)}: known are "
            f"{', '.join(AXES)}"
        )
    check_scale_group(found.scale_group, str(path))
    widths = {len(point.configuration) for point in found.points}
    if len(widths) > 1 or (found.entries and not widths <= {len(found.entries)}):
        raise AllocationError(f"{path} is damaged: its configurations are not all equally long")
    return found
