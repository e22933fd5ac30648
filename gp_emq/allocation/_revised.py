"""A plan of which some widths were changed after it was made."""

from collections.abc import Mapping
from dataclasses import asdict, replace

from gp_emq.allocation._costs import CostSettings
from gp_emq.allocation._measures import Measures, Meter
from gp_emq.allocation._plan import Plan, PlannedLayer
from gp_emq.allocation._space import CHOSEN, EXCLUDED, FIXED, FLOAT_BITS, Space
from gp_emq.errors import AllocationError


def revised_plan(plan: Plan, widths: Mapping[str, int], reason: str) -> Plan:
    """Return a plan with other widths, which says so.

    It answers no budget any more: it has no targets and no baselines, its score is that of the
    layers that keep their widths, and its provenance has the reason.

    Args:
        plan: The plan.
        widths: Width by name of every layer that is quantized.
        reason: Why they differ; kept in the provenance as `"revised"`.

    Returns:
        The plan itself where no width differs.

    Raises:
        AllocationError: The widths are of other layers than the plan quantizes, or differ between
            tied layers.
    """
    planned = {layer.name: layer.bits for layer in plan.layers if layer.bits != FLOAT_BITS}
    if set(widths) != set(planned):
        name = min(set(widths) ^ set(planned))
        raise AllocationError(f"a revised plan quantizes the same layers, which {name!r} is not")
    if dict(widths) == planned:
        return plan
    layers = tuple(_revised(layer, widths.get(layer.name, FLOAT_BITS)) for layer in plan.layers)
    revised = replace(
        plan,
        layers=layers,
        score=sum(layer.score or 0.0 for layer in layers),
        targets=(),
        baselines=(),
        provenance={**plan.provenance, "revised": reason},
    )
    if any(layer.bits != revised.configuration[layer.layer.entry] for layer in layers):
        raise AllocationError("a revised plan must give tied layers one width")
    return replace(revised, measures=_measures(plan, revised))


def _revised(layer: PlannedLayer, bits: int) -> PlannedLayer:
    return layer if layer.bits == bits else replace(layer, bits=bits, decision=FIXED, score=None)


def _measures(plan: Plan, revised: Plan) -> Measures:
    """Measure by what the change of widths changes, however the plan's costs were counted."""
    layers = tuple(layer.layer for layer in plan.layers)
    pairs = tuple(
        tuple(sorted({before, after}))
        for before, after in zip(plan.configuration, revised.configuration, strict=True)
    )
    decisions = tuple(EXCLUDED if pair == (FLOAT_BITS,) else CHOSEN for pair in pairs)
    bits = tuple(sorted({width for pair in pairs for width in pair if width != FLOAT_BITS}))
    meter = Meter(Space(layers, bits, pairs, decisions), CostSettings())
    before, after = (asdict(meter.measure(of.configuration)) for of in (plan, revised))
    known = asdict(plan.measures)
    # Bit operations are proportional to the width of inputs, which the plan does not say.
    operations = known.pop("bops_g") * after["bops_g"] / before["bops_g"]
    changed = {name: value + after[name] - before[name] for name, value in known.items()}
    return Measures(**changed, bops_g=operations)
