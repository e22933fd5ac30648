"""Bench files: safetensors with the arrays, and one metadata key of JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from gp_emq.errors import BenchError
from gp_emq.mqbench._bench import Bench
from gp_emq.store import atomic_write_bytes

FORMAT = 1
# One key, because the order of several in a file is not fixed.
_METADATA_KEY = "gp_emq_bench"
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "network": str,
    "layers": list,
    "entries": list,
    "bits": list,
    "protocol": str,
    "images": int,
    "groups": int,
    "provenance": dict,
}


def write_bench(bench: Bench, path: Path) -> None:
    """Write a bench file; it appears complete or not at all.

    Raises:
        RunError: if the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "configurations": bench.configurations,
        "accuracies": bench.accuracies,
        "split": bench.split,
    }
    if bench.correct is not None:
        arrays["correct"] = bench.correct
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {"format": FORMAT, **{name: getattr(bench, name) for name in _FIELDS}}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    atomic_write_bytes(path, safetensors.numpy.save(arrays, metadata={_METADATA_KEY: text}))


def read_bench(path: Path) -> Bench:
    """Read a bench file and check it.

    Raises:
        BenchError: if the file is missing, damaged or inconsistent.
    """
    if not path.is_file():
        raise BenchError(f"no bench file {path}")
    arrays: dict[str, Any] = {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118 - no mapping, but a file handle
                arrays[name] = file.get_tensor(name)
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise BenchError(f"{path} is no bench file, or is damaged: {reason}") from error
    if _METADATA_KEY not in metadata:
        raise BenchError(f"{path} is no bench file: its metadata lacks {_METADATA_KEY!r}")
    header = _read_header(path, metadata[_METADATA_KEY])
    needed = {"configurations", "accuracies", "split"}
    if not needed <= arrays.keys() <= needed | {"correct"}:
        raise BenchError(
            f"{path} is damaged: it holds the arrays {', '.join(sorted(arrays))}, not "
            f"{', '.join(sorted(needed))} and perhaps correct"
        )
    return Bench(
        name=header["name"],
        network=header["network"],
        layers=tuple(header["layers"]),
        entries=tuple(tuple(entry) for entry in header["entries"]),
        bits=tuple(header["bits"]),
        protocol=header["protocol"],
        configurations=arrays["configurations"],
        accuracies=arrays["accuracies"],
        correct=arrays.get("correct"),
        images=header["images"],
        split=arrays["split"],
        groups=header["groups"],
        provenance=header["provenance"],
    )


def _read_header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise BenchError(f"{path} is damaged: its metadata is no JSON ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else header
        raise BenchError(f"{path} has the format {found!r}; this version reads {FORMAT}")
    for name, kind in _FIELDS.items():
        if not isinstance(header.get(name), kind) or isinstance(header[name], bool):
            raise BenchError(f"{path} is damaged: {name} in its metadata is {header.get(name)!r}")
    lists: list[tuple[str, list[Any], type]] = [
        ("layers", header["layers"], str),
        ("bits", header["bits"], int),
        ("entries", header["entries"], list),
        *(("entries", entry, int) for entry in header["entries"] if isinstance(entry, list)),
    ]
    for name, values, member in lists:
        if not all(isinstance(value, member) and not isinstance(value, bool) for value in values):
            raise BenchError(f"{path} is damaged: {name} in its metadata is {header[name]!r}")
    return header
