"""Trees as readable mathematics."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from gp_emq.proxies._expression import Node
from primitives import EXPONENTS, Factor, PrimitiveSet

_EXPONENTS = tuple(map(str, EXPONENTS))
_SUPERSCRIPTS = dict(zip(_EXPONENTS, ("⁻²", "⁻¹", "^(−½)", "^½", "", "²", "³"), strict=True))
_SIGNED_SUPERSCRIPTS = dict(
    zip(_EXPONENTS, ("^⟨−2⟩", "⁻¹", "^⟨−½⟩", "^⟨½⟩", "", "^⟨2⟩", "³"), strict=True)
)
"""``x^⟨c⟩`` is sign(x)·|x|^c, as in the theory of stable distributions."""

_PLACEHOLDER = re.compile(r"\{(\d+)\}")
_OPENING = "([|‖,<>="
_CLOSING = ")]|‖,<>="


class _Level(IntEnum):
    """How tightly the outermost operator of a text binds."""

    SUM = 0
    PRODUCT = 1
    ATOM = 2


@dataclass(frozen=True)
class _Written:
    """A subtree as text, without parentheses around the whole."""

    text: str
    level: _Level
    non_negative: bool = False


def to_formula(tree: Sequence[Node], primitive_set: PrimitiveSet) -> str:
    """Write a tree as mathematics, for people.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.

    Returns:
        One line such as ``mean(diag F·(ΔW)²)``; symbols as in `primitives.STATISTICS`.
    """
    stack: list[_Written] = []
    for node in reversed(tree):
        if node.arity == 0:
            terminal = primitive_set.statistics.get(node.name)
            symbol = terminal.symbol if terminal else node.name
            if node.ret is Factor:
                symbol = symbol.removesuffix(".0")
            non_negative = terminal is not None and terminal.non_negative
            stack.append(_Written(symbol, _level_of(symbol), non_negative))
            continue
        arguments = [stack.pop() for _ in range(node.arity)]
        operator = primitive_set.overloads[node.name].operator
        if operator.name == "power":
            base, exponent = arguments
            superscript = _superscript(exponent.text, signed=not base.non_negative)
            template = f"({{0}}){superscript}" if superscript else "{0}"
            stack.append(_filled(template, [base], non_negative=base.non_negative))
        else:
            non_negative = operator.non_negative or (
                operator.name == "scaled" and arguments[0].non_negative
            )
            stack.append(_filled(operator.template, arguments, non_negative=non_negative))
    return stack[-1].text


def _superscript(exponent: str, *, signed: bool) -> str:
    usual = _SIGNED_SUPERSCRIPTS if signed else _SUPERSCRIPTS
    if exponent in usual:
        return usual[exponent]
    number = exponent.replace("-", "−").removesuffix(".0")
    return f"^⟨{number}⟩" if signed else f"^{number}" if "−" not in number else f"^({number})"


def _filled(template: str, arguments: Sequence[_Written], *, non_negative: bool) -> _Written:
    """Put arguments into a template, with parentheses where their neighbours bind tighter."""
    template = _stripped(template)
    level = _level_of(_PLACEHOLDER.sub("x", template))
    parts, position = [], 0
    for match in _PLACEHOLDER.finditer(template):
        argument = arguments[int(match.group(1))]
        before = template[: match.start()].rstrip()[-1:]
        after = template[match.end() :].lstrip()[:1]
        bare = _stands_bare(argument, before, after)
        if bare and not before and not after:
            level = argument.level
        parts += [template[position : match.start()]]
        parts += [argument.text if bare else f"({argument.text})"]
        position = match.end()
    return _Written("".join([*parts, template[position:]]), level, non_negative)


def _stands_bare(argument: _Written, before: str, after: str) -> bool:
    """Say whether an argument between two characters (or none) needs no parentheses."""
    if argument.level is _Level.ATOM:
        return True
    if argument.level is _Level.PRODUCT:
        return before in f"{_OPENING}+−·" and after in f"{_CLOSING}+−·/"
    fits_left = before in _OPENING or (before == "+" and not argument.text.startswith("−"))
    return fits_left and after in f"{_CLOSING}+−"


def _level_of(text: str) -> _Level:
    """Find the loosest operator outside of all brackets and bars."""
    depth, in_bars, level = 0, False, _Level.ATOM
    for character in text:
        depth += (character in "([⟨") - (character in ")]⟩")
        in_bars ^= character in "|‖"
        if depth == 0 and not in_bars:
            if character in "+−":
                return _Level.SUM
            if character in "·/":
                level = _Level.PRODUCT
    return level


def _stripped(text: str) -> str:
    """Take off parentheses that enclose the whole."""
    while text.startswith("(") and _closes_at_end(text):
        text = text[1:-1]
    return text


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
