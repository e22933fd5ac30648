"""Saved scores: JSON files with a checksum, from which plans are made without the network."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gp_emq.allocation._checks import (
    check_counts,
    check_entries,
    check_scale_group,
    without_groups,
)
from gp_emq.allocation._reasons import with_listed, with_reasons
from gp_emq.allocation._scored import ScoredNetwork
from gp_emq.errors import AllocationError
from gp_emq.files import check_document, read_document, shortened, write_document
from gp_emq.networks import Granularity, Layer
from gp_emq.proxies import SensitivityTable

FORMAT = 1
_Rows = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class _Origin:
    """What a table says of itself."""

    proxy: str = ""
    formula: str = ""
    expression: str = ""
    statistics: str = ""


@dataclass(frozen=True)
class _Baseline:
    """A baseline and its scores, None where it needs none."""

    name: str
    scores: _Rows | None


@dataclass(frozen=True)
class _Document:
    """A file's values; a score that is no finite number is null."""

    layers: tuple[Layer, ...]
    bits: tuple[int, ...]
    scores: _Rows
    origin: _Origin
    baselines: tuple[_Baseline, ...]
    per_channel: bool
    seed: int
    kept_in_float: Mapping[str, str]
    beside_bytes: int | None
    activations: Mapping[str, tuple[int, int]] | None
    provenance: Mapping[str, str]
    scale_group: int | None = None


def save_table(scored: ScoredNetwork | SensitivityTable, path: Path) -> None:
    """Write scores as JSON, with a checksum; equal ones give equal bytes.

    Args:
        scored: A scored network, or a table that knows its layers and widths.
        path: The file; its folder must exist.

    Raises:
        AllocationError: It is an array that does not know its layers.
        RunError: The file cannot be written.
    """
    if isinstance(scored, SensitivityTable):
        if not scored.is_labelled:
            raise AllocationError("an array that does not know its layers and widths is not saved")
        scored = ScoredNetwork(scored, kept_in_float=scored.kept_in_float)
    document = _Document(
        layers=scored.layers,
        bits=scored.bits,
        scores=_rows(scored.table),
        origin=_Origin(**scored.table.provenance),
        baselines=tuple(
            _Baseline(name, None if table is None else _rows(table))
            for name, table in scored.baselines.items()
        ),
        per_channel=scored.granularity.per_channel,
        seed=scored.seed,
        kept_in_float=dict(scored.kept_in_float),
        beside_bytes=scored.beside_bytes,
        activations=None if scored.activations is None else dict(scored.activations),
        provenance=dict(scored.provenance),
        scale_group=scored.granularity.group,
    )
    values = with_listed({"format": FORMAT, **without_groups(asdict(document))})
    write_document(path, values | {"sha256": _sha256(values)}, form=FORMAT)


def load_table(path: Path | str) -> ScoredNetwork:
    """Read and check saved scores.

    Args:
        path: The JSON file.

    Raises:
        AllocationError: The file is missing, damaged, changed or of another format; the message
            says where.
    """
    path = Path(path)
    values = read_document(path, dict[str, Any], AllocationError, "the table", form=FORMAT)
    stated = values.pop("sha256", None)
    if stated != _sha256({"format": FORMAT, **values}):
        raise AllocationError(f"{path} is damaged: its checksum is not that of its content")
    found = check_document(with_reasons(values), _Document, AllocationError, str(path))
    for number, layer in enumerate(found.layers):
        check_counts(layer, f"{path}: layer {number}")
    check_entries(found.layers, str(path))
    if found.seed < 0:
        raise AllocationError(f"{path}: seed is {found.seed}, less than 0")
    granularity = _granularity(found, str(path))
    if found.activations is not None:
        _check_activations(found.layers, found.activations, str(path))
    names = [baseline.name for baseline in found.baselines]
    if len(set(names)) != len(names):
        raise AllocationError(f"{path}: the baselines must have names of their own")
    return ScoredNetwork(
        table=_table(found, found.scores, found.origin, f"{path}: the scores"),
        baselines={name: _baseline(found, name, str(path)) for name in names},
        granularity=granularity,
        seed=found.seed,
        kept_in_float=found.kept_in_float,
        beside_bytes=found.beside_bytes,
        activations=found.activations,
        provenance=found.provenance,
    )


def _granularity(found: _Document, where: str) -> Granularity:
    check_scale_group(found.scale_group, where)
    try:
        return Granularity(found.per_channel, found.scale_group)
    except ValueError as error:
        raise AllocationError(f"{where}: {error}") from None


def _check_activations(
    layers: Sequence[Layer], activations: Mapping[str, tuple[int, int]], where: str
) -> None:
    if set(activations) != {layer.name for layer in layers}:
        raise AllocationError(f"{where}: the activations must be those of the layers")
    if min(min(counts) for counts in activations.values()) < 0:
        raise AllocationError(f"{where}: activations have a count below 0")


def _baseline(found: _Document, name: str, where: str) -> SensitivityTable | None:
    (scores,) = (baseline.scores for baseline in found.baselines if baseline.name == name)
    if scores is None:
        return None
    return _table(found, scores, _Origin(name), f"{where}: baseline {shortened(name)}")


def _table(found: _Document, rows: _Rows, origin: _Origin, where: str) -> SensitivityTable:
    lengths = {len(row) for row in rows}
    if lengths != {len(found.bits)}:
        raise AllocationError(f"{where} must have {len(found.bits)} columns")
    values = [[math.nan if score is None else score for score in row] for row in rows]
    known = {item.name: getattr(origin, item.name) for item in fields(origin)}
    try:
        return SensitivityTable(values, bits=found.bits, layers=found.layers, **known)
    except AllocationError as error:
        raise AllocationError(f"{where}: {error}") from error


def _rows(table: SensitivityTable) -> _Rows:
    rows: Sequence[Sequence[float]] = table.tolist()
    return tuple(tuple(score if math.isfinite(score) else None for score in row) for row in rows)


def _sha256(values: Mapping[str, Any]) -> str:
    """Hash values, however their file was set."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
