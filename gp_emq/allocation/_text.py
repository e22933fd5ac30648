"""Plans and sweeps as text for a terminal."""

from collections.abc import Sequence

from gp_emq.allocation._names import AXES
from gp_emq.allocation._plan import Plan
from gp_emq.allocation._reasons import told_reasons
from gp_emq.allocation._space import EXCLUDED, FIXED, FLOAT_BITS
from gp_emq.allocation._sweep import Sweep
from gp_emq.columns import format_columns

_MARKS = {FIXED: " =", EXCLUDED: ""}


def format_plan(plan: Plan) -> str:
    """Write a plan as text: budgets, then one table of layers, totals and baselines.

    Args:
        plan: The plan.
    """
    answered = [baseline for baseline in plan.baselines if baseline.bits]
    head = ["layer", "parameters", "MACs", "score", "plan", *(item.name for item in answered)]
    body = [
        [
            planned.name,
            f"{planned.layer.parameters:,}",
            f"{planned.layer.macs:,}",
            _score(planned.score),
            _width(planned.bits) + _MARKS.get(planned.decision, ""),
            *(_width(item.bits[place]) for item in answered),
        ]
        for place, planned in enumerate(plan.layers)
    ]
    columns = [(plan.score, plan.measures), *((item.score, item.measures) for item in answered)]
    measured = [(score, item) for score, item in columns if item is not None]
    totals = [
        ["score", "", "", "", *(_score(score) for score, _ in measured)],
        ["size, MiB", "", "", "", *(f"{item.size_mib:.4g}" for _, item in measured)],
        ["stored size, MiB", "", "", "", *(f"{item.stored_mib:.4g}" for _, item in measured)],
        ["average bits", "", "", "", *(f"{item.average_bits:.3f}" for _, item in measured)],
        ["BOPs, G", "", "", "", *(f"{item.bops_g:.4g}" for _, item in measured)],
    ]
    lines = [_origin(plan), "", *_targets(plan), "", *format_columns(head, body, totals)]
    notes = _notes(plan)
    return "\n".join([*lines, "", *notes] if notes else lines) + "\n"


def format_sweep(sweep: Sweep) -> str:
    """Write a sweep as text: one line per point of the front.

    Args:
        sweep: The sweep.
    """
    unit = AXES[sweep.axis]
    axis = f"{sweep.axis}, {unit}" if unit else sweep.axis
    head = ["point", axis, "score", "average bits", "bits"]
    body = [
        [
            str(number),
            f"{point.cost:.5g}",
            _score(point.score),
            f"{point.measures.average_bits:.3f}",
            " ".join(map(_width, point.configuration)),
        ]
        for number, point in enumerate(sweep.points, start=1)
    ]
    lines = format_columns(head, body, [])
    notes = _rank_notes(sweep.not_rising, sweep.constant, len(sweep.points[0].configuration))
    gaps = [point.gap for point in sweep.points if point.gap > 0]
    if gaps:
        notes.append(
            f"note: {len(gaps)} of {len(sweep.points)} points are not proven the best: better ones "
            f"could add at most {max(gaps):.3g} to the score"
        )
    return "\n".join([*lines, "", *notes] if notes else lines) + "\n"


def _origin(plan: Plan) -> str:
    known = plan.provenance
    network = f" for {known['network']}" if "network" in known else ""
    formula = f": {known['formula']}" if "formula" in known else ""
    proxy = f", by {known['proxy']}{formula}" if "proxy" in known else ""
    return f"plan{network}{proxy}"


def _targets(plan: Plan) -> list[str]:
    rows = []
    for target in plan.targets:
        unit = f" {target.unit}" if target.unit else ""
        share = target.achieved / target.limit
        rows.append(
            [
                target.name,
                f"{target.limit:g}{unit}",
                f"{target.achieved:.5g}{unit}",
                f"{share:.1%}",
            ]
        )
    return format_columns(["budget", "target", "achieved", "used"], rows, [])


def _notes(plan: Plan) -> list[str]:
    notes = [f"{baseline.name}: {baseline.note}" for baseline in plan.baselines if baseline.note]
    if any(planned.decision == FIXED for planned in plan.layers):
        notes.append("= fixed by you")
    if plan.scale_group is not None:
        notes.append(
            f"note: every {plan.scale_group} weights of an output channel share a scale, as "
            "stored sizes count and gp_emq.quantize keeps to"
        )
    notes += _rank_notes(plan.not_rising, plan.constant, len(plan.configuration))
    sharing = [
        f"{item.name} that of {item.layer.shares}" for item in plan.layers if item.layer.shares
    ]
    if sharing:
        notes.append(
            f"note: some layers have the weight of another, which counts it: {_shortened(sharing)}"
        )
    if plan.kept_in_float:
        notes.append(
            f"note: {len(plan.kept_in_float)} weights are in no layer that is quantized, stay in "
            f"float and are not counted: {told_reasons(plan.kept_in_float)}"
        )
    if plan.gap > 0:
        notes.append(f"note: a better plan could add at most {plan.gap:.3g} to the score")
    return notes


def _rank_notes(not_rising: Sequence[str], constant: Sequence[str], entries: int) -> list[str]:
    """Say which rows of the table are not as they should be."""
    notes = []
    if not_rising:
        notes.append(
            f"note: the score of {len(not_rising)} of {entries} entries falls somewhere as bits "
            f"rise: {_shortened(not_rising)}"
        )
    if constant:
        notes.append(
            f"note: the score of {len(constant)} of {entries} entries is the same at all widths, "
            f"so that they take the cheapest: {_shortened(constant)}"
        )
    return notes


def _shortened(names: Sequence[str]) -> str:
    shown = list(names) if len(names) <= 6 else [*names[:5], "..."]
    return ", ".join(shown)


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _width(bits: int) -> str:
    return "float" if bits == FLOAT_BITS else str(bits)
