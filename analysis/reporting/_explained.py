"""A formula in full: typeset, with its sign and every symbol explained."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis._mathml import to_mathml
from analysis.reporting._source import RunSource
from gp_emq.errors import GpEmqError
from gp_emq.proxies import Node, parse_expression
from primitives import OPERATORS, PrimitiveSet

_PLAIN = {"add", "subtract", "multiply", "divide", "identity", "negate", "square", "abs"}
"""Operators that need no explanation."""


@dataclass(frozen=True)
class Explained:
    """A formula for people.

    Attributes:
        mathml: typeset with its sign; empty where the run's operators are not known here.
        text: the same in one line.
        expression: what `gp_emq rank --expression` and `allocate --expression` read.
        orientation: what the sign says.
        symbols: each statistic in it, and what that is.
        operators: each operator in it that is no plain arithmetic, and what that is.
    """

    mathml: str
    text: str
    expression: str
    orientation: str
    symbols: tuple[tuple[str, str], ...]
    operators: tuple[tuple[str, str], ...]


def explain(run: RunSource) -> Explained:
    """Explain the chosen formula of a run."""
    row, formulas = run.chosen, run.formulas
    sign = row.sign or 1
    written = formulas(row.expression)
    text = f"−({written})" if sign < 0 else written
    orientation = (
        "The formula gives a number for every layer and bit width; the score of a configuration is "
        "their sum, and a higher score predicts a higher accuracy"
    )
    orientation += (
        ". The minus is part of it: without it, higher would predict lower."
        if sign < 0
        else " as it stands: its sign is plus."
    )
    try:
        tree = parse_expression(row.expression, formulas.primitive_set)
    except GpEmqError:
        return Explained("", text, row.expression, orientation, (), ())
    return Explained(
        to_mathml(tree, formulas.primitive_set, sign),
        text,
        row.expression,
        orientation,
        tuple(_symbols(tree, formulas.primitive_set).items()),
        tuple(_operators(tree, formulas.primitive_set).items()),
    )


def _symbols(tree: Sequence[Node], primitive_set: PrimitiveSet) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in tree:
        terminal = primitive_set.statistics.get(node.name)
        overload = primitive_set.overloads.get(node.name)
        if node.arity == 0 and terminal is not None:
            found[terminal.symbol] = f"{terminal.description} ({terminal.name})"
        elif overload is not None and overload.operator.name == "times_bits":
            found["b"] = "the bit width itself"
    return found


def _operators(tree: Sequence[Node], primitive_set: PrimitiveSet) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in tree:
        overload = primitive_set.overloads.get(node.name)
        operator = OPERATORS.get(node.name) if overload is None else overload.operator
        if operator is None or operator.name in _PLAIN:
            continue
        shown = operator.template
        for place, letter in enumerate("xyz"):
            shown = shown.replace(f"{{{place}}}", letter)
        if "{" in shown:  # one of EMQ's structures
            shown = operator.name
        found[shown] = f"{operator.formula} ({operator.name})"
    return found
