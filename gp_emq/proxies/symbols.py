"""Trees as sympy expressions and as LaTeX."""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

from gp_emq.proxies._expression import Node
from primitives import PrimitiveSet

_Build = Callable[..., sympy.Expr]

_EXACT: Mapping[str, _Build] = {
    "identity": lambda x: x,
    "abs": sympy.Abs,
    "negate": lambda x: -x,
    "sign": sympy.sign,
    "square": lambda x: x**2,
    "sqrt": lambda x: sympy.sqrt(sympy.Max(x, 0)),
    "log": sympy.log,
    "log_abs": lambda x: sympy.log(sympy.Abs(x)),
    "exp": sympy.exp,
    "relu": lambda x: sympy.Max(x, 0),
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "power": lambda x, c: sympy.sign(x) * sympy.Abs(x) ** c,
    "scaled": lambda x, c: c * x,
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "times_bits": lambda x: x * sympy.Symbol("b", nonnegative=True),
}
"""Operators that are, number by number, what sympy has a name for; others stay functions."""

_LATEX = {
    "sum": r"\sum\left({0}\right)",
    "frobenius_norm": r"\left\lVert {0} \right\rVert",
    "l1_mean": r"\operatorname{{mean}}\left|{0}\right|",
    "reciprocal": r"\left({0} + 10^{{-9}}\right)^{{-1}}",
    "pairwise_distance": r"\left\lVert {0} - {1} \right\rVert",
    "matrix_product": r"\left({0}\right)\left({1}\right)^{{\mathsf{{T}}}}",
    "log_determinant": r"\log\left|\det {0}\right|",
    "standard_deviation": r"\operatorname{{std}}\left({0}\right)",
    "variance": r"\operatorname{{var}}\left({0}\right)",
    "minimum": r"\min\left({0}\right)",
    "maximum": r"\max\left({0}\right)",
    "equal": r"\left[{0} = {1}\right]",
    "less": r"\left[{0} < {1}\right]",
    "greater": r"\left[{0} > {1}\right]",
}
_SIGNS = {
    "∇": r"\nabla ", "Δ": r"\Delta ", "λ": r"\lambda ", "·": r"\cdot ", "−": "-", "ₐ": "_{a}",
    "²": "^{2}", "³": "^{3}", "½": r"\tfrac{1}{2}", "‖": r"\Vert ", "Σ": r"\sum ", "σ": r"\sigma ",
    "ρ": r"\rho ",
    "∂": r"\partial ", "ᵀ": r"^{\mathsf{T}}", "₀": "_{0}", "₁": "_{1}", "₂": "_{2}",
}  # fmt: skip


def to_sympy(tree: Sequence[Node], primitive_set: PrimitiveSet) -> sympy.Expr:
    """Write a tree as a sympy expression.

    Terminals are real symbols, written as in formulas, that stand for one number each:
    arithmetic is element by element. What needs a whole tensor (means, norms, normalisers,
    products of matrices) is a function of the operator's name, of which sympy knows nothing more.
    sympy folds what it can, so that ``x − x`` is 0.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.
    """
    stack: list[sympy.Expr] = []
    for node in reversed(tree):
        if node.arity == 0:
            stack.append(_leaf(node, primitive_set))
            continue
        arguments = [stack.pop() for _ in range(node.arity)]
        name = primitive_set.overloads[node.name].operator.name
        build = _EXACT.get(name) or sympy.Function(name)
        stack.append(build(*arguments))
    return stack[-1]


def as_latex(expression: sympy.Expr) -> str:
    """Write what `to_sympy` gave as LaTeX, for math mode and without dollar signs."""
    return str(_Printer().doprint(expression))


def _leaf(node: Node, primitive_set: PrimitiveSet) -> sympy.Expr:
    terminal = primitive_set.statistics.get(node.name)
    if terminal is not None:
        non_negative = True if terminal.non_negative else None
        return sympy.Symbol(terminal.symbol, real=True, nonnegative=non_negative)
    try:
        return sympy.Rational(Fraction(node.name))
    except ValueError:  # an operator that is an argument of one of EMQ's structures
        return sympy.Symbol(node.name)


class _Printer(LatexPrinter):  # type: ignore[misc]  # sympy has no types
    """Writes the functions and symbols of formulas; the rest is sympy's."""

    def parenthesize(self, item: Any, level: int, *given: Any, **named: Any) -> str:
        """Put a symbol of several signs in parentheses where it is raised to a power."""
        written = super().parenthesize(item, level, *given, **named)
        several = isinstance(item, sympy.Symbol) and len(item.name) > 1
        return (
            rf"\left({written}\right)" if several and level >= PRECEDENCE["Pow"] else str(written)
        )

    def _print_Symbol(self, symbol: Any) -> str:  # noqa: N802 - sympy finds it by this name
        words = re.sub(r"[A-Za-z]{2,}", r"\\operatorname{\g<0>}", symbol.name)
        return "".join(_SIGNS.get(sign, sign) for sign in words)

    def _print_Function(self, function: Any, exp: str | None = None) -> str:  # noqa: N802 - as above
        name = function.func.__name__
        arguments = [self._print(argument) for argument in function.args]
        template = _LATEX.get(name)
        if template is None:
            words = name.replace("_", r"\ ")
            written = rf"\operatorname{{{words}}}\left({', '.join(arguments)}\right)"
        else:
            written = template.format(*arguments)
        return written if exp is None else rf"\left({written}\right)^{{{exp}}}"
