"""Dimensional analysis of trees: what a formula makes of a layer that is rescaled."""

from collections.abc import Sequence
from fractions import Fraction

from gp_emq.proxies._expression import Node
from gp_emq.statistics import exponent_of
from primitives import (
    NUMBER_TYPES,
    DependsOnScaleError,
    Power,
    PrimitiveSet,
    Scale,
    Terminal,
    is_invariant,
)


def depends_on_scale(tree: Sequence[Node], primitive_set: PrimitiveSet) -> bool | None:
    """Say whether a formula ranks otherwise once weights are rescaled that a batch norm follows.

    A sum of values of different scales counts as dependent, whatever becomes of it.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set.

    Returns:
        None where operators or terminals do not say what they make of a scale: it must be tried.
    """
    try:
        scale = _scale_of(tree, primitive_set)
    except DependsOnScaleError:
        return True
    return None if scale is None else not is_invariant(scale)


def _scale_of(tree: Sequence[Node], primitive_set: PrimitiveSet) -> Scale | None:
    stack: list[tuple[Scale | float | None, type]] = []
    for node in reversed(tree):
        if node.arity:
            overload = primitive_set.overloads[node.name]
            arguments = [stack.pop() for _ in range(node.arity)]
            scales = [scale for scale, _ in arguments if scale is not None]
            rule = overload.operator.scaling
            known = rule is not None and len(scales) == len(arguments)
            stack.append((rule(scales, arguments[0][1]) if rule and known else None, node.ret))
        elif node.ret in NUMBER_TYPES:
            stack.append((float(node.name), node.ret))
        elif node.name in primitive_set.statistics:
            stack.append((_of_terminal(primitive_set.statistics[node.name]), node.ret))
        else:  # an operator as a value
            stack.append((None, node.ret))
    scale = stack[-1][0]
    return None if isinstance(scale, float) else scale


def _of_terminal(terminal: Terminal) -> Scale | None:
    if terminal.exponent is not None:
        return Power(Fraction(terminal.exponent))
    if any(exponent_of(name) is None for name in terminal.needs):
        raise DependsOnScaleError
    return None
