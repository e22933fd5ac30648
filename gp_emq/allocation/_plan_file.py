"""Plans as JSON files: equal plans give equal bytes, and nothing is read unchecked."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from gp_emq.allocation._checks import (
    check_counts,
    check_entries,
    check_scale_group,
    without_groups,
)
from gp_emq.allocation._plan import Plan, PlannedLayer
from gp_emq.allocation._reasons import with_listed, with_reasons
from gp_emq.allocation._space import DECISIONS, EXCLUDED, FLOAT_BITS
from gp_emq.errors import AllocationError
from gp_emq.files import (
    check_document,
    check_format,
    read_document,
    shortened,
    write_document,
)
from gp_emq.quantization import MAX_BITS, MIN_BITS

FORMAT = 1


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan as JSON.

    Args:
        plan: The plan.
        path: The file; its folder must exist.

    Raises:
        RunError: The file cannot be written.
    """
    write_document(path, plan_document(plan), form=FORMAT)


def load_plan(path: Path | str) -> Plan:
    """Read and check a plan.

    Args:
        path: The JSON file.

    Returns:
        The plan.

    Raises:
        AllocationError: The file is missing, damaged or of another format, and the message says
            where; or what is given is no path.
    """
    if not isinstance(path, (str, Path)):
        raise AllocationError(f"a plan is a file: give its path, not {type(path).__name__}")
    path = Path(path)
    values = read_document(path, dict[str, Any], AllocationError, "the plan", form=FORMAT)
    plan = check_document(with_reasons(values), Plan, AllocationError, str(path))
    return _checked(plan, str(path))


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as the values of a JSON object."""
    values = without_groups(asdict(plan))
    return with_listed(values | {"format": FORMAT, "provenance": dict(plan.provenance)})


def plan_from(document: object, where: str) -> Plan:
    """Check the values of a JSON object, and return the plan that they are.

    Args:
        document: What `plan_document` gave, after JSON.
        where: What complaints name as its place.

    Raises:
        AllocationError: It is damaged or of another format.
    """
    values = check_format(document, FORMAT, AllocationError, where)
    plan = check_document(with_reasons(values), Plan, AllocationError, where)
    return _checked(plan, where)


def _checked(plan: Plan, where: str) -> Plan:
    """Check what the types of a plan do not say."""
    if plan.activation_bits is not None and plan.activation_bits < 0:
        _fail(f"{where}: activation_bits", f"is {plan.activation_bits}, less than 0")
    check_scale_group(plan.scale_group, where)
    for number, planned in enumerate(plan.layers):
        _check_layer(planned, f"{where}: layer {number}")
    _check_entries(plan.layers, where)
    _check_average(plan, where)
    for baseline in plan.baselines:
        if baseline.bits and len(baseline.bits) != len(plan.layers):
            _fail(
                f"{where}: baseline {shortened(baseline.name)}", f"needs {len(plan.layers)} widths"
            )
    return plan


def _check_layer(planned: PlannedLayer, where: str) -> None:
    check_counts(planned.layer, where)
    if planned.decision not in DECISIONS:
        _fail(where, f"decision is {shortened(planned.decision)}, not {', '.join(DECISIONS)}")
    if planned.decision == EXCLUDED:
        if planned.bits != FLOAT_BITS:
            _fail(where, f"is excluded, but has {planned.bits} bits")
    elif not MIN_BITS <= planned.bits <= MAX_BITS:
        _fail(where, f"has {planned.bits} bits, not {MIN_BITS} to {MAX_BITS}")


def _check_average(plan: Plan, where: str) -> None:
    """Refuse widths that are no longer those that the plan's measures are of."""
    counted = [
        (planned.layer.parameters, planned.bits)
        for planned in plan.layers
        if planned.decision != EXCLUDED
    ]
    whole = sum(parameters for parameters, _ in counted)
    if whole == 0:
        return
    found = sum(parameters * bits for parameters, bits in counted) / whole
    said = plan.measures.average_bits
    if not math.isclose(found, said, rel_tol=1e-6):
        _fail(
            f"{where}:",
            f"the widths come to {found:.6g} bits on average, and the plan says {said:.6g}: it was "
            "changed since it was made; plan again, and fix widths of your own (--fix LAYER=BITS)",
        )


def _check_entries(layers: tuple[PlannedLayer, ...], where: str) -> None:
    widths: dict[int, int] = {}
    for planned in layers:
        known = widths.setdefault(planned.layer.entry, planned.bits)
        if known != planned.bits:
            _fail(
                f"{where}: layer {shortened(planned.name)}",
                f"has {planned.bits} bits, but the layers tied to it have {known}",
            )
    check_entries([planned.layer for planned in layers], where)


def _fail(where: str, what: str) -> NoReturn:
    raise AllocationError(f"{where} {what}")
