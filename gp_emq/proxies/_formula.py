"""Trees as readable mathematics."""

from collections.abc import Sequence

from gp_emq.proxies._expression import Node
from primitives import EXPONENTS, PrimitiveSet

_SUPERSCRIPTS = dict(
    zip(map(str, EXPONENTS), ("⁻²", "⁻¹", "^(−½)", "^½", "", "²", "³"), strict=True)
)


def to_formula(tree: Sequence[Node], primitive_set: PrimitiveSet) -> str:
    """Write a tree as mathematics, for people.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.

    Returns:
        One line such as ``mean(diag F·(ΔW)²)``; symbols as in `primitives.STATISTICS`.
    """
    stack: list[str] = []
    for node in reversed(tree):
        if node.arity == 0:
            terminal = primitive_set.statistics.get(node.name)
            stack.append(terminal.symbol if terminal else node.name)
            continue
        arguments = [_stripped(stack.pop()) for _ in range(node.arity)]
        operator = primitive_set.overloads[node.name].operator
        if operator.name == "power":
            stack.append(f"({arguments[0]}){_SUPERSCRIPTS[arguments[1]]}")
        elif operator.name == "multiply":
            stack.append("·".join(_factor(argument) for argument in arguments))
        else:
            stack.append(operator.template.format(*arguments))
    return _stripped(stack[-1])


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


def _stripped(text: str) -> str:
    """Take off parentheses that enclose the whole."""
    while text.startswith("(") and _closes_at_end(text):
        text = text[1:-1]
    return text


def _factor(text: str) -> str:
    """Put parentheses around a sum, difference or negation that becomes a factor."""
    depth, bars = 0, False
    for character in text:
        depth += (character in "([") - (character in ")]")
        bars ^= character in "|‖"
        if depth == 0 and not bars and character in "+−":
            return f"({text})"
    return text
