"""Formulas as text: ``mean(multiply(fisher_diagonal, square(quantization_perturbation)))``.

The parser knows names, numbers, parentheses and commas, and looks every name up in a primitive
set; nothing is ever evaluated. Overloads are resolved by the types of the arguments.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from deap import gp

from gp_emq.errors import ExpressionError
from gp_emq.files import shortened
from primitives import BitTable, Overload, PrimitiveSet

Node: TypeAlias = gp.Primitive | gp.Terminal
Nodes: TypeAlias = list[Node]
"""A tree as DEAP stores it: its nodes in prefix order."""

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[(),])")


@dataclass
class _Parsed:
    """A parsed argument: the types it may have, and its nodes for each."""

    text: str
    readings: dict[type, Nodes]


def to_expression(tree: Sequence[Node], primitive_set: PrimitiveSet) -> str:
    """Write a tree as text, with the plain names of its operators.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.

    Returns:
        An expression that `parse_expression` reads back to the same tree.
    """
    stack: list[str] = []
    for node in reversed(tree):
        if node.arity == 0:
            stack.append(node.name)
            continue
        arguments = [stack.pop() for _ in range(node.arity)]
        name = primitive_set.overloads[node.name].operator.name
        stack.append(f"{name}({', '.join(arguments)})")
    return stack[-1]


def parse_expression(
    text: str, primitive_set: PrimitiveSet, result: type = BitTable
) -> gp.PrimitiveTree:
    """Read an expression.

    Args:
        text: The expression.
        primitive_set: Where its names are looked up.
        result: The type the whole must have.

    Returns:
        The tree.

    Raises:
        ExpressionError: The text does not parse, names something the set lacks, combines types
            that no signature takes, or has another type than asked for.
    """
    parser = _Parser(primitive_set)
    for token in _tokens(text):
        parser.take(token)
    parsed = parser.finish()
    if result not in parsed.readings:
        kinds = " or ".join(kind.__name__ for kind in parsed.readings)
        raise ExpressionError(
            f"expression gives {kinds}, but must give {result.__name__}: {_shortened(text)}"
        )
    return gp.PrimitiveTree(parsed.readings[result])


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            rest = stripped[position:].lstrip()
            raise ExpressionError(
                f"unexpected {rest[:1]!r} at position {len(stripped) - len(rest)} of "
                f"expression: {_shortened(text)}"
            )
        tokens.append(match.group(1))
        position = match.end()
    if not tokens:
        raise ExpressionError("the expression is empty")
    return tokens


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "..."


class _Parser:
    """A stack of open calls; no recursion, so that depth has no limit."""

    def __init__(self, primitive_set: PrimitiveSet) -> None:
        self._set = primitive_set
        self._open: list[tuple[str, list[_Parsed]]] = [("", [])]
        self._expects_operand = True
        self._pending_name: str | None = None

    def take(self, token: str) -> None:
        if token == "(":  # noqa: S105
            if self._pending_name is None:
                raise ExpressionError("'(' must follow an operator's name")
            self._open.append((self._pending_name, []))
            self._pending_name, self._expects_operand = None, True
            return
        self._settle()
        if token == ",":  # noqa: S105
            if self._expects_operand or len(self._open) == 1:
                raise ExpressionError("unexpected ',' in expression")
            self._expects_operand = True
        elif token == ")":  # noqa: S105
            self._close()
        else:
            if not self._expects_operand:
                raise ExpressionError(
                    f"unexpected {shortened(token)} in expression; a ',' is missing"
                )
            self._pending_name, self._expects_operand = token, False

    def finish(self) -> _Parsed:
        self._settle()
        if len(self._open) > 1:
            raise ExpressionError(f"')' is missing after {_shortened(self._open[-1][0])}(...")
        arguments = self._open[0][1]
        if len(arguments) != 1:
            raise ExpressionError("the expression must be one formula")
        return arguments[0]

    def _settle(self) -> None:
        """Turn a name that no '(' followed into a leaf."""
        if self._pending_name is None:
            return
        name, self._pending_name = self._pending_name, None
        if name[0] == "-" or name[0].isdigit():
            value = float(name)
            if not math.isfinite(value):
                raise ExpressionError(f"{shortened(name)} is too large a number for an expression")
            leaves = self._set.numbers(value)
        else:
            leaves = self._set.leaves(name)
            if not leaves:
                raise ExpressionError(self._unknown(name))
        self._open[-1][1].append(_Parsed(name, {leaf.ret: [leaf] for leaf in leaves}))

    def _unknown(self, name: str) -> str:
        if name in self._set.operator_names:
            return f"operator {shortened(name)} needs its arguments in parentheses"
        known = ", ".join(sorted(self._set.statistics))
        return (
            f"unknown statistic {shortened(name)} in primitive set {self._set.name!r}; known are "
            f"{known}"
        )

    def _close(self) -> None:
        if len(self._open) == 1 or self._expects_operand:
            raise ExpressionError("unexpected ')' in expression")
        name, arguments = self._open.pop()
        readings: dict[type, Nodes] = {}
        overloads = self._set.overloads_of(name)
        if not overloads:
            known = ", ".join(sorted(self._set.operator_names))
            raise ExpressionError(
                f"unknown operator {shortened(name)} in primitive set {self._set.name!r}; known "
                f"are {known}"
            )
        for overload in overloads:
            # A commutative operator has one order of two types, and may be written in either.
            orders = [arguments, arguments[::-1]] if overload.operator.commutative else [arguments]
            for ordered in orders:
                if overload.result not in readings and _accepts(overload, ordered):
                    nodes: Nodes = [self._set.mapping[overload.name]]
                    for kind, argument in zip(overload.arguments, ordered, strict=True):
                        nodes.extend(argument.readings[kind])
                    readings[overload.result] = nodes
        if not readings:
            raise ExpressionError(_no_signature(name, arguments, overloads))
        self._open[-1][1].append(_Parsed(name, readings))
        self._expects_operand = False


def _accepts(overload: Overload, arguments: list[_Parsed]) -> bool:
    return len(overload.arguments) == len(arguments) and all(
        kind in argument.readings
        for kind, argument in zip(overload.arguments, arguments, strict=True)
    )


def _no_signature(name: str, arguments: list[_Parsed], overloads: Sequence[Overload]) -> str:
    given = ", ".join("|".join(kind.__name__ for kind in a.readings) for a in arguments)
    takes = "; ".join(
        "(" + ", ".join(kind.__name__ for kind in overload.arguments) + ")"
        for overload in overloads
    )
    return f"operator {name!r} does not take ({given[:200]}); it takes {takes}"
