"""Sweeps as JSON files."""

import json
from dataclasses import asdict
from pathlib import Path

from gp_emq.allocation._sweep import AXES, Sweep
from gp_emq.store import atomic_write_text


def save_sweep(sweep: Sweep, path: Path) -> None:
    """Write a sweep as JSON; equal sweeps give equal bytes.

    Args:
        sweep: The sweep.
        path: The file; its folder must exist.

    Raises:
        RunError: The file cannot be written.
    """
    document = {"format": 1, "unit": AXES[sweep.axis], **asdict(sweep)}
    text = json.dumps(document, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    atomic_write_text(path, text + "\n")
