"""Sensitivity tables on disk, beside the statistics they were computed from."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import RunError
from gp_emq.files import code_sha256, decode_document, one_line, read_entry, write_entry
from gp_emq.statistics import Statistics

FloatArray = NDArray[np.float64]


def kept_values(
    compute: Callable[[], FloatArray], identity: Sequence[str], statistics: Statistics, cache: Path
) -> FloatArray:
    """Compute a table, or read the one that was computed before by the same code.

    Args:
        compute: Gives float64 (entries, bits).
        identity: What it is computed by.
        statistics: What it is computed from.
        cache: The folder that was given to `collect_statistics`.

    Returns:
        The table; one that is not finite is not kept.

    Raises:
        RunError: The folder cannot be written.
    """
    parts = [code_sha256("gp_emq.proxies.loading"), statistics.fingerprint, *identity]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    path = cache / statistics.fingerprint / "tables" / f"{key[:32]}.json"
    entries = 1 + max(layer.entry for layer in statistics.layers)
    known = _read(path, key, (entries, len(statistics.bits)))
    if known is not None:
        return known
    table = compute()
    if np.isfinite(table).all():
        try:
            write_entry(path, key, json.dumps(table.tolist()).encode())
        except OSError as error:
            raise RunError(f"cannot write {path}: {one_line(error)}") from error
    return table


def _read(path: Path, key: str, shape: tuple[int, int]) -> FloatArray | None:
    """Read a table; a file that is none counts as missing and is written anew."""
    content = read_entry(path, key)
    if content is None:
        return None
    try:
        rows = decode_document(content, tuple[tuple[float, ...], ...], RunError, str(path))
        table = np.array(rows, dtype=np.float64)
    except (RunError, ValueError):
        return None
    return table if table.shape == shape and np.isfinite(table).all() else None
