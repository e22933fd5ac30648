"""Bench files: safetensors with the arrays, and one metadata key of JSON."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from gp_emq.errors import BenchError
from gp_emq.files import atomic_write_bytes, decode_document, read_tensors, shortened
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._selection import Chosen
from gp_emq.networks import TOP_1

FORMAT = 1
# One key, because the order of several in a file is not fixed.
_METADATA_KEY = "gp_emq_bench"


@dataclass(frozen=True)
class _Header:
    """What a bench is, beside its arrays and the format of the file."""

    name: str
    network: str
    layers: tuple[str, ...]
    entries: tuple[tuple[int, ...], ...]
    bits: tuple[int, ...]
    protocol: str
    images: int
    groups: int
    provenance: dict[str, Any]
    chosen: tuple[Chosen, ...] = ()
    metric: str = TOP_1.name
    higher_is_better: bool = TOP_1.higher_is_better


_FIELDS = tuple(field.name for field in fields(_Header))


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
    if bench.values is not None:
        arrays["values"] = bench.values
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {"format": FORMAT, **{name: getattr(bench, name) for name in _FIELDS}}
    del header["chosen"]
    if bench.chosen:  # files without it read in versions that do not know it
        header["chosen"] = [one.to_json() for one in bench.chosen]
    if bench.metric == TOP_1.name:  # files of it read in versions that know of nothing else
        del header["metric"], header["higher_is_better"]
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    atomic_write_bytes(path, safetensors.numpy.save(arrays, metadata={_METADATA_KEY: text}))


def read_bench(path: Path) -> Bench:
    """Read a bench file and check it.

    Raises:
        BenchError: if the file is missing, damaged or inconsistent.
    """
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name too long for one, or with a NUL in it
        there = False
    if not there:
        raise BenchError(f"no bench file {str(path)[:200]}")
    tensors, metadata = read_tensors(path, BenchError, "the bench")
    if _METADATA_KEY not in metadata:
        raise BenchError(f"{path} is no bench file: its metadata lacks {_METADATA_KEY!r}")
    where = f"the metadata of {path}"
    header = decode_document(metadata[_METADATA_KEY], _Header, BenchError, where, form=FORMAT)
    needed = {"configurations", "accuracies", "split"}
    if not needed <= tensors.keys() <= needed | {"correct", "values"}:
        raise BenchError(
            f"{path} is damaged: it holds the arrays {shortened(sorted(tensors))}, not "
            f"{', '.join(sorted(needed))} and perhaps correct or values"
        )
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bfloat16:
            raise BenchError(f"{path} is damaged: {name} is bfloat16, which no array is")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return Bench(
        **{name: getattr(header, name) for name in _FIELDS},
        configurations=arrays["configurations"],
        accuracies=arrays["accuracies"],
        correct=arrays.get("correct"),
        values=arrays.get("values"),
        split=arrays["split"],
    )
