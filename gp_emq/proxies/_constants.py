"""Where a formula may have constants: weights of terms, exponents of what is never negative."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gp_emq.proxies._expression import Node
from primitives import NUMBER_TYPES, BitTable, LayerVector, PrimitiveSet

MOST_CONSTANTS = 10
"""Of one formula; weights come first, then exponents, from the left."""

_SUMS, _PRODUCTS = ("add", "subtract"), ("multiply", "divide")
_ROOTS = {"sqrt": 0.5, "square": 2.0}
"""Powers that have a name: of what is never negative an exponent takes their place."""


class Site(NamedTuple):
    """A place for a constant."""

    is_exponent: bool
    """Whether it is an exponent, or else a weight."""
    position: int
    """Of the node, in prefix order, whose argument it is at; -1 for the root itself."""
    argument: int
    """Which argument."""


@dataclass(frozen=True)
class _Written:
    """A subtree as text."""

    text: str
    kind: type
    operator: str = ""
    non_negative: bool = False
    inner: "_Written | None" = None
    """The first argument."""


def constant_sites(tree: Sequence[Node], primitive_set: PrimitiveSet) -> list[Site]:
    """Find the places of a formula where constants may stand.

    A sum of k terms has k − 1 weights, each relative to the term before. Exponents stand at terms
    and factors that are never negative, and at the whole; at no factor that is a product itself,
    whose own factors have them. Only what is one number for each entry, or entry and width, has
    constants, so that no tensor need be read again for another value.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.

    Returns:
        At most `MOST_CONSTANTS`.
    """
    found: list[Site] = []
    _write(tree, primitive_set, {}, found)
    return sorted(found)[:MOST_CONSTANTS]


def with_constants(
    tree: Sequence[Node], primitive_set: PrimitiveSet, values: Mapping[Site, float]
) -> str:
    """Write a formula with constants in some of its places.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.
        values: Above 0 each; 1 changes nothing, and is left out.

    Returns:
        An expression, not simplified.
    """
    return _write(tree, primitive_set, values, [])


def _write(
    tree: Sequence[Node],
    primitive_set: PrimitiveSet,
    values: Mapping[Site, float],
    found: list[Site],
) -> str:
    """Write a formula with constants, and add all places that it has to those found."""

    def with_own(one: _Written, above: str, position: int, place: int) -> _Written:
        exponent, weight = (Site(kind, position, place) for kind in (True, False))
        if one.kind not in (LayerVector, BitTable):
            return one
        is_part = one.operator in _PRODUCTS or (one.operator in _SUMS and above in _SUMS)
        if one.non_negative and not is_part:
            found.append(exponent)
            one = _raised(one, values.get(exponent, 1.0))
        if above in _SUMS and place == 1:
            found.append(weight)
            one = _weighted(one, values.get(weight, 1.0))
        return one

    stack: list[_Written] = []
    for position in range(len(tree) - 1, -1, -1):
        node = tree[position]
        if node.arity == 0:
            terminal = primitive_set.statistics.get(node.name)
            non_negative = terminal is not None and terminal.non_negative
            stack.append(_Written(node.name, node.ret, "", non_negative))
            continue
        operator = primitive_set.overloads[node.name].operator
        arguments = [stack.pop() for _ in range(node.arity)]
        if operator.name in (*_SUMS, *_PRODUCTS):
            arguments = [
                with_own(one, operator.name, position, place) for place, one in enumerate(arguments)
            ]
        text = f"{operator.name}({', '.join(one.text for one in arguments)})"
        non_negative = operator.non_negative or (
            operator.keeps_non_negative
            and all(one.non_negative for one in arguments if one.kind not in NUMBER_TYPES)
        )
        stack.append(_Written(text, node.ret, operator.name, non_negative, arguments[0]))
    return with_own(stack[-1], "", -1, 0).text


def _weighted(one: _Written, factor: float) -> _Written:
    if factor == 1:
        return one
    return _Written(f"scaled({one.text}, {factor})", one.kind, "scaled", one.non_negative)


def _raised(one: _Written, exponent: float) -> _Written:
    if exponent == 1:
        return one
    if one.operator in _ROOTS and one.inner is not None and one.inner.non_negative:
        exponent, one = float(f"{_ROOTS[one.operator] * exponent:.12g}"), one.inner
    return _Written(f"power({one.text}, {exponent})", one.kind, "power", one.non_negative)
