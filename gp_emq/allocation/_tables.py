"""Sensitivity tables on disk, beside the statistics they were computed from."""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gp_emq
from gp_emq.proxies import SensitivityTable
from gp_emq.proxies.loading import Proxy
from gp_emq.statistics import Statistics
from gp_emq.store import atomic_write_text

FloatArray = NDArray[np.float64]

_FORMAT = 1


def cached_table(proxy: Proxy, statistics: Statistics, cache: Path | None) -> SensitivityTable:
    """Compute the table of a proxy, or read the one that was computed before.

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
    path = cache / statistics.fingerprint / "tables" / f"{_mark(proxy)}.json"
    known = _read(path, (entries, len(statistics.bits)))
    if known is not None:
        return proxy.label(known, statistics)
    table = proxy.table(statistics)
    if np.isfinite(table).all():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps({"format": _FORMAT, "table": table.tolist()}) + "\n")
    return table


def _mark(proxy: Proxy) -> str:
    name = "" if proxy.method is None else proxy.name
    identity = [gp_emq.__version__, name, proxy.expression, str(proxy.sign)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _read(path: Path, shape: tuple[int, int]) -> FloatArray | None:
    """Read a table; a file that is none counts as missing and is written anew."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        table = np.array(document["table"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = document.get("format") == _FORMAT and table.shape == shape
    return table if fits and np.isfinite(table).all() else None
