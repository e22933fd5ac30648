"""Sensitivity tables on disk, beside the statistics they were computed from."""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import RunError
from gp_emq.files import code_sha256, decode_document, one_line, read_entry, write_entry
from gp_emq.proxies import SensitivityTable
from gp_emq.proxies.loading import Proxy
from gp_emq.statistics import Statistics

FloatArray = NDArray[np.float64]


def cached_table(proxy: Proxy, statistics: Statistics, cache: Path | None) -> SensitivityTable:
    """Compute the table of a proxy, or read the one that was computed before by the same code.

    Args:
        proxy: The proxy. One of a user's own primitive set is always computed, since the set's
            file may have changed.
        statistics: The network's statistics.
        cache: The folder that was given to `collect_statistics`; None computes.

    Returns:
        float64 (entries, bits), oriented; it knows its layers and widths.
    """
    if cache is None or not proxy.portable:
        return proxy.table(statistics)
    entries = 1 + max(layer.entry for layer in statistics.layers)
    key = _key(proxy, statistics)
    path = cache / statistics.fingerprint / "tables" / f"{key[:32]}.json"
    known = _read(path, key, (entries, len(statistics.bits)))
    if known is not None:
        return proxy.label(known, statistics)
    table = proxy.table(statistics)
    if np.isfinite(table).all():
        try:
            write_entry(path, key, json.dumps(table.tolist()).encode())
        except OSError as error:
            raise RunError(f"cannot write {path}: {one_line(error)}") from error
    return table


def _key(proxy: Proxy, statistics: Statistics) -> str:
    """Hash what a table is computed from: the proxy, its code, and the statistics."""
    name = "" if proxy.method is None else proxy.name
    code = code_sha256("gp_emq.proxies.loading")
    identity = [code, statistics.fingerprint, name, proxy.expression, str(proxy.sign)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


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
