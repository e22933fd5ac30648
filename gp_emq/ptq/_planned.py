"""What a plan counted with, and whether what the user asks for instead keeps its budgets."""

from gp_emq.allocation import BIT_OPERATIONS, FILE_SIZE, Plan
from gp_emq.errors import QuantizationError
from gp_emq.networks import PER_CHANNEL, Granularity


def planned_activation_bits(plan: object, given: int | None) -> int:
    """Say which width the inputs of layers get.

    Args:
        plan: A plan, or anything else that says nothing of it.
        given: What the user asks for; None for what the plan counted with, or else 8.

    Raises:
        QuantizationError: The user asks for another width than a budget of the plan counted with.
    """
    planned = plan.activation_bits if isinstance(plan, Plan) else None
    if given is None:
        return 8 if planned is None else planned
    if isinstance(plan, Plan) and planned not in (None, given):
        for target in plan.targets:
            if target.name == BIT_OPERATIONS:
                raise QuantizationError(
                    f"the plan keeps to {target.limit:g} {target.unit} {target.name} with inputs "
                    f"at {planned} bits, not {given}: leave the activation bits out, or allocate "
                    "for others"
                )
    return given


def planned_granularity(plan: object, given: Granularity | None) -> Granularity:
    """Say what of a weight shares a scale.

    Args:
        plan: A plan, or anything else that says nothing of it.
        given: What the user asks for; None for the groups that the plan counted with, or else a
            scale per output channel.

    Raises:
        QuantizationError: The user asks for shorter groups, with more scales, than a budget in
            bytes of the plan counted with.
    """
    planned = plan.granularity if isinstance(plan, Plan) else PER_CHANNEL
    if given is None:
        return planned
    if isinstance(plan, Plan) and given.group and _scales(plan, given) > _scales(plan, planned):
        for target in plan.targets:
            if target.name == FILE_SIZE:
                raise QuantizationError(
                    f"the plan keeps to {target.limit:.0f} {target.unit} of {target.name} with "
                    f"{_scales(plan, planned):,} scales (per {planned}), and has "
                    f"{_scales(plan, given):,} per {given}: leave the scale group out, or allocate "
                    "with it"
                )
    return given


def _scales(plan: Plan, granularity: Granularity) -> int:
    """Count the scales of a plan's weights."""
    return sum(
        granularity.scales(planned.layer.weight_shape)
        for planned in plan.layers
        if planned.name in plan.widths
    )
