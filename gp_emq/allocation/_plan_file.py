"""Plans as JSON files: equal plans give equal bytes, and nothing is read unchecked."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from gp_emq.allocation._measures import Measures
from gp_emq.allocation._plan import Baseline, Plan, PlannedLayer, Target
from gp_emq.allocation._space import DECISIONS, EXCLUDED, FLOAT_BITS
from gp_emq.errors import AllocationError
from gp_emq.networks import Layer
from gp_emq.quantization import MAX_BITS, MIN_BITS
from gp_emq.store import atomic_write_text

FORMAT = 1

_Record = Mapping[str, Any]


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan as JSON.

    Args:
        plan: The plan.
        path: The file; its folder must exist.

    Raises:
        RunError: The file cannot be written.
    """
    text = json.dumps(
        plan_document(plan), sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False
    )
    atomic_write_text(path, text + "\n")


def load_plan(path: Path | str) -> Plan:
    """Read and check a plan.

    Args:
        path: The JSON file.

    Returns:
        The plan.

    Raises:
        AllocationError: The file is missing, damaged or of another format; the message says
            where.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AllocationError(f"cannot read the plan {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise AllocationError(f"{path} is no JSON file: {error}") from error
    return plan_from(document, str(path))


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as the values of a JSON object."""
    return asdict(plan) | {"format": FORMAT, "provenance": dict(plan.provenance)}


def plan_from(document: object, where: str) -> Plan:
    """Check the values of a JSON object, and return the plan that they are.

    Args:
        document: What `plan_document` gave, after JSON.
        where: What complaints name as its place.

    Raises:
        AllocationError: It is damaged or of another format.
    """
    if not isinstance(document, dict) or "format" not in document:
        raise AllocationError(f"{where} is no plan: it has no format")
    if document["format"] != FORMAT:
        found = document["format"]
        raise AllocationError(f"{where} has format {found!r}; this version reads format {FORMAT}")
    return _Reader(where).plan(document)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_KINDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "whole": ("a whole number of at least 0", _is_whole),
    "whole?": (
        "a whole number of at least 0 or null",
        lambda value: value is None or _is_whole(value),
    ),
    "number": ("a finite number", _is_number),
    "number?": ("a finite number or null", lambda value: value is None or _is_number(value)),
    "list": ("a list", lambda value: isinstance(value, list)),
    "object": ("an object", lambda value: isinstance(value, dict)),
    "object?": ("an object or null", lambda value: value is None or isinstance(value, dict)),
    "texts": (
        "a list of texts",
        lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    ),
    "wholes": (
        "a list of whole numbers",
        lambda value: isinstance(value, list) and all(map(_is_whole, value)),
    ),
}

_PLAN = {
    "layers": "list", "bits": "wholes", "score": "number", "gap": "number", "targets": "list",
    "measures": "object", "not_rising": "texts", "baselines": "list", "kept_in_float": "texts",
    "provenance": "object", "format": "whole", "constant": "texts", "activation_bits": "whole?",
}  # fmt: skip
_LATER: _Record = {"constant": [], "activation_bits": None}
"""What the first plans of the format lack."""
_PLANNED = {"layer": "object", "bits": "whole", "decision": "text", "score": "number?"}
_LAYER = {
    "name": "text", "kind": "text", "weight_shape": "wholes", "parameters": "whole",
    "batch_norm_channels": "whole", "macs": "whole", "depth": "whole", "entry": "whole",
    "shares": "text",
}  # fmt: skip
_TARGET = {"name": "text", "unit": "text", "limit": "number", "achieved": "number"}
_MEASURES = dict.fromkeys(("size_mib", "stored_mib", "average_bits", "bops_g"), "number")
_BASELINE = {
    "name": "text", "bits": "wholes", "score": "number?", "measures": "object?", "note": "text",
}  # fmt: skip


class _Reader:
    """Checks a document part by part, and says where it is wrong."""

    def __init__(self, where: str) -> None:
        self._place = where

    def plan(self, document: object) -> Plan:
        given = {**_LATER, **document} if isinstance(document, dict) else document
        whole = self._checked(given, _PLAN, "the plan")
        layers = tuple(
            self._planned(item, f"layer {number}") for number, item in enumerate(whole["layers"])
        )
        self._check_entries(layers)
        baselines = tuple(self._baseline(item, len(layers)) for item in whole["baselines"])
        if not all(isinstance(value, str) for value in whole["provenance"].values()):
            self._fail("provenance", "must hold texts")
        return Plan(
            layers=layers,
            bits=tuple(whole["bits"]),
            score=float(whole["score"]),
            gap=float(whole["gap"]),
            targets=tuple(
                Target(**self._checked(item, _TARGET, "a target")) for item in whole["targets"]
            ),
            measures=self._measures(whole["measures"], "the measures"),
            not_rising=tuple(whole["not_rising"]),
            baselines=baselines,
            kept_in_float=tuple(whole["kept_in_float"]),
            constant=tuple(whole["constant"]),
            activation_bits=whole["activation_bits"],
            provenance=dict(whole["provenance"]),
        )

    def _planned(self, item: object, where: str) -> PlannedLayer:
        values = self._checked(item, _PLANNED, where)
        layer = values["layer"]
        if isinstance(layer, dict):
            layer = {"shares": "", **layer}  # plans of before had no shared weights
        fields = dict(self._checked(layer, _LAYER, where))
        fields["weight_shape"] = tuple(fields["weight_shape"])
        planned = PlannedLayer(**{**values, "layer": Layer(**fields)})
        if planned.decision not in DECISIONS:
            self._fail(where, f"decision is {planned.decision!r}, not {', '.join(DECISIONS)}")
        if planned.decision == EXCLUDED:
            if planned.bits != FLOAT_BITS:
                self._fail(where, f"is excluded, but has {planned.bits} bits")
        elif not MIN_BITS <= planned.bits <= MAX_BITS:
            self._fail(where, f"has {planned.bits} bits, not {MIN_BITS} to {MAX_BITS}")
        return planned

    def _check_entries(self, layers: tuple[PlannedLayer, ...]) -> None:
        widths: dict[int, int] = {}
        for planned in layers:
            known = widths.setdefault(planned.layer.entry, planned.bits)
            if known != planned.bits:
                self._fail(
                    f"layer {planned.name!r}",
                    f"has {planned.bits} bits, but the layers tied to it have {known}",
                )
        if not layers or sorted(widths) != list(range(len(widths))):
            self._fail("the layers", "must cover the entries 0, 1, 2, ...")
        if len({planned.name for planned in layers}) != len(layers):
            self._fail("the layers", "must have names of their own")

    def _baseline(self, item: object, layers: int) -> Baseline:
        values = self._checked(item, _BASELINE, "a baseline")
        baseline = Baseline(**{**values, "bits": tuple(values["bits"])})
        if baseline.bits and len(baseline.bits) != layers:
            self._fail(f"baseline {baseline.name!r}", f"needs {layers} widths")
        if values["measures"] is None:
            return baseline
        return replace(baseline, measures=self._measures(values["measures"], baseline.name))

    def _measures(self, item: object, where: str) -> Measures:
        return Measures(**self._checked(item, _MEASURES, where))

    def _checked(self, item: object, kinds: Mapping[str, str], where: str) -> _Record:
        if not isinstance(item, dict):
            self._fail(where, "is no object")
        if set(item) != set(kinds):
            missing, unknown = sorted(set(kinds) - set(item)), sorted(set(item) - set(kinds))
            self._fail(where, f"is missing {missing}, and has unknown {unknown}")
        for name, kind in kinds.items():
            described, fits = _KINDS[kind]
            if not fits(item[name]):
                self._fail(where, f"{name} is {str(item[name])[:40]!r}, not {described}")
        return item

    def _fail(self, where: str, what: str) -> NoReturn:
        raise AllocationError(f"{self._place}: {where} {what}")
