"""Trees as typeset mathematics: MathML, which browsers draw by themselves.

It is written from the tree and not from a computer algebra system, which would multiply out what
a formula holds together: a signed cube is three factors there, each with the whole base.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from xml.etree.ElementTree import Element, tostring

from gp_emq.proxies import Node
from primitives import EXPONENTS, PrimitiveSet

_DRAWN = frozenset(map(str, EXPONENTS))
_PLACEHOLDER = re.compile(r"\{(\d+)\}")
_TOKEN = re.compile(r"[^\W\d_][\w]*|\d+|\S")
_NAMESPACE = "http://www.w3.org/1998/Math/MathML"


@dataclass(frozen=True)
class _Written:
    """A subtree: its element, whether it is a sum, may be a base as it is, is never negative."""

    element: Element
    is_sum: bool = False
    is_letter: bool = False
    non_negative: bool = False


def to_mathml(tree: Sequence[Node], primitive_set: PrimitiveSet, sign: int = 1) -> str:
    """Write a tree as a MathML element of its own line.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.
        sign: What orients it; with -1 a minus stands before the whole.
    """
    stack: list[_Written] = []
    for node in reversed(tree):
        if node.arity == 0:
            terminal = primitive_set.statistics.get(node.name)
            symbol = terminal.symbol if terminal else node.name
            stack.append(
                _Written(
                    _text("mi", symbol),
                    is_letter=len(symbol) == 1,
                    non_negative=terminal is not None and terminal.non_negative,
                )
            )
            continue
        arguments = [stack.pop() for _ in range(node.arity)]
        operator = primitive_set.overloads[node.name].operator
        if operator.name == "power":
            stack.append(_power(*arguments))
            continue
        build = _LAYOUTS.get(operator.name)
        element, is_sum = build(*arguments) if build else _filled(operator.template, arguments)
        stack.append(_Written(element, is_sum, non_negative=operator.non_negative))
    whole = stack[-1]
    shown = whole.element if sign > 0 else _row(_text("mo", "−"), _factor(whole))
    math = Element("math", {"xmlns": _NAMESPACE, "display": "block"})
    math.append(shown)
    return tostring(math, encoding="unicode")


_Shape = tuple[Element, bool]
"""An element, and whether it is a sum."""


def _text(tag: str, text: str, **attributes: str) -> Element:
    element = Element(tag, attributes)
    element.text = text
    return element


def _row(*children: Element) -> Element:
    return _around("mrow", *children)


def _around(tag: str, *children: Element) -> Element:
    element = Element(tag)
    element.extend(children)
    return element


def _sized(element: Element) -> Element:
    row = Element("mrow", {"displaystyle": "true", "scriptlevel": "0"})
    row.append(element)
    return row


def _fenced(element: Element, left: str = "(", right: str = ")") -> Element:
    return _row(
        _text("mo", left, form="prefix", stretchy="true"),
        element,
        _text("mo", right, form="postfix", stretchy="true"),
    )


def _factor(written: _Written) -> Element:
    return _fenced(written.element) if written.is_sum else written.element


def _base(written: _Written) -> Element:
    return written.element if written.is_letter else _fenced(written.element)


def _named(name: str, argument: Element) -> Element:
    return _row(_text("mi", name), argument)


def _sum_of(first: _Written, second: _Written) -> _Shape:
    return _row(first.element, _text("mo", "+"), _term(second)), True


def _term(written: _Written) -> Element:
    """What comes after a plus: in parentheses if it begins with a minus."""
    first = next(iter(written.element), None)
    begins_with_minus = first is not None and first.text == "−"
    return _fenced(written.element) if begins_with_minus else written.element


def _difference(first: _Written, second: _Written) -> _Shape:
    return _row(first.element, _text("mo", "−"), _factor(second)), True


def _product(first: _Written, second: _Written) -> _Shape:
    return _row(_factor(first), _text("mo", "·"), _factor(second)), False


def _fraction(over: Element, under: Element) -> _Shape:
    # Parts of a fraction as large as what stands beside it: formulas nest many.
    large = [_sized(part) for part in (over, under)]
    return _around("mfrac", *large), False


_LAYOUTS: Mapping[str, Callable[..., _Shape]] = {
    "identity": lambda x: (x.element, x.is_sum),
    "negate": lambda x: (_row(_text("mo", "−", form="prefix"), _factor(x)), True),
    "add": _sum_of,
    "subtract": _difference,
    "multiply": _product,
    "scaled": lambda x, c: (
        _row(_decimal(c.element.text or "1"), _text("mo", "·"), _factor(x)),
        False,
    ),
    "times_bits": lambda x: (_row(_factor(x), _text("mo", "·"), _text("mi", "b")), False),
    "divide": lambda x, y: _fraction(x.element, y.element),
    "reciprocal": lambda x: _fraction(_text("mn", "1"), x.element),
    "sqrt": lambda x: (_around("msqrt", x.element), False),
    "square": lambda x: (_around("msup", _base(x), _text("mn", "2")), False),
    "exp": lambda x: (_around("msup", _text("mi", "e"), x.element), False),
    "abs": lambda x: (_fenced(x.element, "|", "|"), False),
    "log_abs": lambda x: (_named("log", _fenced(x.element, "|", "|")), False),
    "l1_mean": lambda x: (_named("mean", _fenced(x.element, "|", "|")), False),
    "frobenius_norm": lambda x: (_fenced(x.element, "‖", "‖"), False),
}
"""Operators that mathematics writes in two dimensions, or with signs of its own."""


def _power(base: _Written, exponent: _Written) -> _Written:
    text = exponent.element.text or "1"
    value, drawn = Fraction(text), text in _DRAWN
    if value == 1:
        return base
    written = _number(value) if drawn else _decimal(text)
    # An odd power has the sign of its base; any other is said to keep it.
    if not base.non_negative and not (drawn and value.denominator * value.numerator % 2):
        written = _fenced(written, "⟨", "⟩")
    return _Written(_around("msup", _base(base), written), non_negative=base.non_negative)


def _decimal(text: str) -> Element:
    number = _text("mn", text.lstrip("-").removesuffix(".0"))
    return _row(_text("mo", "−", form="prefix"), number) if text.startswith("-") else number


def _number(value: Fraction) -> Element:
    whole = _text("mn", str(abs(value.numerator)))
    if value.denominator != 1:
        whole = _around("mfrac", whole, _text("mn", str(value.denominator)))
    return _row(_text("mo", "−", form="prefix"), whole) if value < 0 else whole


def _filled(template: str, arguments: Sequence[_Written]) -> _Shape:
    """Fill a one-line template, its words as identifiers and its signs as operators."""
    row, position = Element("mrow"), 0
    for match in _PLACEHOLDER.finditer(template):
        row.extend(_tokens(template[position : match.start()]))
        row.append(arguments[int(match.group(1))].element)
        position = match.end()
    row.extend(_tokens(template[position:]))
    return row, False


def _tokens(text: str) -> list[Element]:
    return [
        _text("mi" if token[0].isalpha() else "mn" if token.isdigit() else "mo", token)
        for token in _TOKEN.findall(text)
    ]
