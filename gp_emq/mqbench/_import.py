"""Importing MQ-Bench-101 as it was published: a pickle, or lines of text."""

import io
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from gp_emq.errors import BenchError
from gp_emq.files import check_pickle, one_line, read_bytes, shortened
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._sampling import split_configurations
from gp_emq.networks import entry_layers, file_sha256, registered_layers

IMAGENET_VALIDATION_IMAGES = 50_000
_LARGEST_FILE = 16 * 2**20
_MOST_CONFIGURATIONS = 10_000
_LONGEST_WIDTHS = 2048


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, strings and numbers, and refuses to look anything up."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: object) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for the object {pid!r} from elsewhere")


def import_bench(
    path: Path,
    *,
    name: str | None = None,
    network: str = "resnet18",
    images: int = IMAGENET_VALIDATION_IMAGES,
    seed: int = 0,
) -> Bench:
    """Read a published bench.

    Args:
        path: a pickle `{index: {"bit_cfg": "[4, 3, ...]", "acc": percent}}`, of which anything
            but plain containers, strings and numbers is refused; or text with lines
            `[4, 3, ...]:percent`.
        name: of the bench; by default the file's name without suffix.
        network: the network it was measured on.
        images: test images that its accuracies are shares of.
        seed: of the split into training, validation and test configurations.

    Returns:
        The bench, without correctness by image. A configuration that occurs several times
        is kept once, with the mean of its accuracies.

    Raises:
        BenchError: if the file is missing, damaged, or no such bench.
        NetworkError: if the network is unknown.
    """
    content = read_bytes(path, BenchError, "the bench to import", most=_LARGEST_FILE)
    records = _from_text(path, content) if _is_text(content) else _from_pickle(path, content)
    layers = registered_layers(network)
    entries = entry_layers(layers)
    for number, (widths, _) in enumerate(records):
        if len(widths) != len(entries):
            raise BenchError(
                f"{path}, configuration {number}: {len(widths)} widths, but {network} has "
                f"{len(entries)} entries"
            )
    distinct: dict[tuple[int, ...], list[float]] = {}
    for widths, accuracy in records:
        distinct.setdefault(widths, []).append(accuracy)
    return Bench(
        name=name or path.stem,
        network=network,
        layers=tuple(layer.name for layer in layers),
        entries=entries,
        bits=tuple(sorted({width for widths in distinct for width in widths})),
        protocol="imported",
        configurations=np.array(list(distinct), dtype=np.int8),
        accuracies=np.array([np.mean(values) for values in distinct.values()]),
        correct=None,
        images=images,
        split=split_configurations(len(distinct), (seed, 1)),
        groups=images,
        provenance={"imported_sha256": file_sha256(path), "repeated": len(records) - len(distinct)},
    )


def _is_text(content: bytes) -> bool:
    return content.lstrip()[:1] in (b"[", b"#", b"")


def _from_pickle(path: Path, content: bytes) -> list[tuple[tuple[int, ...], float]]:
    refused = f"{path} is refused as a published bench"
    check_pickle(io.BytesIO(content), BenchError, refused, calls=False)
    try:
        loaded = _PlainUnpickler(io.BytesIO(content)).load()
    # A damaged pickle can make the machine that reads it fail in any way.
    except Exception as error:
        raise BenchError(f"{refused}: it is damaged ({one_line(error)})") from error
    if not isinstance(loaded, dict) or not loaded:
        raise BenchError(f"{path} holds a {type(loaded).__name__}, not a table of configurations")
    _check_count(path, len(loaded))
    return [
        _record(f"{path}, configuration {shortened(index, 40)}", value, _pickled_fields)
        for index, value in loaded.items()
    ]


def _check_count(path: Path, count: int) -> None:
    if count > _MOST_CONFIGURATIONS:
        raise BenchError(
            f"{path} has {count:,} configurations: what is read is at most {_MOST_CONFIGURATIONS:,}"
        )


def _from_text(path: Path, content: bytes) -> list[tuple[tuple[int, ...], float]]:
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BenchError(f"{path} is neither a pickle nor text: {one_line(error)}") from error
    _check_count(path, len(lines))
    records = [
        _record(f"{path}, line {number}", line, _text_fields)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not records:
        raise BenchError(f"{path} lists no configurations")
    return records


def _record(
    where: str, value: Any, fields: Callable[[Any], tuple[Any, Any]]
) -> tuple[tuple[int, ...], float]:
    try:
        widths, percent = fields(value)
        if isinstance(widths, str) and len(widths) <= _LONGEST_WIDTHS:
            widths = json.loads(widths.replace("(", "[").replace(")", "]"))
        if isinstance(percent, str):
            percent = float(percent)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BenchError(
            f"{where} is no configuration with its accuracy: {shortened(value)}"
        ) from error
    if (
        not isinstance(widths, (list, tuple))
        or len(widths) > _LONGEST_WIDTHS
        or not all(type(width) is int for width in widths)
    ):
        raise BenchError(f"{where}: {shortened(widths)} is no list of widths")
    if not all(-128 <= width <= 127 for width in widths):
        raise BenchError(f"{where}: {shortened(widths)} has a width that no network takes")
    if (
        isinstance(percent, bool)
        or not isinstance(percent, (int, float))
        or not 0 <= percent <= 100
    ):
        raise BenchError(f"{where}: {shortened(percent, 40)} is no accuracy in percent")
    return tuple(widths), float(percent) / 100


def _pickled_fields(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(type(value).__name__)
    return value["bit_cfg"], value["acc"]


def _text_fields(line: str) -> tuple[str, str]:
    widths, colon, percent = line.rpartition(":")
    if not colon:
        raise ValueError(line)
    return widths, percent
