"""Rules of algebra as text: ``sqrt(square(x)) = abs(x)``."""

import re
from dataclasses import dataclass
from functools import cache

from gp_emq.errors import PrimitiveSetError

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|\d+(?:\.\d+)?|[(),])")


@dataclass(frozen=True)
class Pattern:
    """A side of an identity: a name with its arguments, or a leaf."""

    name: str
    arguments: tuple["Pattern", ...] = ()


@dataclass(frozen=True)
class Identity:
    """A rule by which one way of writing a formula becomes another.

    A letter is any subtree, the same wherever it stands; 0 and 1 are that number everywhere; a
    number with a point is an exponent, and two letters together are the product of two of them.

    Attributes:
        left: What is replaced, a call.
        right: What it becomes.
        non_negative: Letter of a subtree that must never be negative, or nothing.
    """

    left: Pattern
    right: Pattern
    non_negative: str = ""

    @classmethod
    def read(cls, text: str) -> "Identity":
        """Read an identity such as ``power(x, 2.0) = square(x) if x >= 0``.

        Raises:
            PrimitiveSetError: It is none.
        """
        return _read(text)


@cache
def _read(text: str) -> Identity:
    rule, _, condition = text.partition(" if ")
    sides = rule.split(" = ")
    if len(sides) != 2 or not re.fullmatch(r"|\w >= 0", condition):
        raise PrimitiveSetError(f"{text!r} is no identity; write it as 'f(g(x)) = h(x) if x >= 0'")
    left, right = (_pattern(side, text) for side in sides)
    return Identity(left, right, condition[:1])


def _pattern(side: str, text: str) -> Pattern:
    """Read a side, from its end: arguments are complete before the call that takes them."""
    tokens = _TOKEN.findall(side)
    stack: list[list[Pattern]] = [[]]
    arguments: tuple[Pattern, ...] = ()
    for token in reversed(tokens):
        if token == ")":  # noqa: S105
            stack.append([])
        elif token == "(":  # noqa: S105
            arguments = tuple(reversed(stack.pop()))
        elif token != ",":  # noqa: S105
            stack[-1:] = [[*stack[-1], Pattern(token, arguments)]] if stack else []
            arguments = ()
    if len(stack) != 1 or len(stack[0]) != 1 or "".join(tokens) != side.replace(" ", ""):
        raise PrimitiveSetError(f"{side!r} of the identity {text!r} is no expression")
    return stack[0][0]
