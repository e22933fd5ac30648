"""The canonical form of a tree: what it comes to once equal ways of writing it are folded.

Two trees with the same canonical form give the same ranking on every network, so a search
evaluates only the first. The rules are identities of real arithmetic: arguments of commutative
operators are sorted, involutions and idempotents folded, signs pulled to the root and dropped
there (a proxy and its negation are the same proxy), and reductions of normalised tensors that
depend on the shape alone are folded to one symbol each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gp_emq.errors import ExpressionError
from gp_emq.proxies._expression import Node, parse_expression
from primitives import (
    EXPONENTS,
    OPERATORS,
    BitTable,
    Kind,
    Matrices,
    PrimitiveSet,
    WeightsPerBit,
)  # fmt: skip

_KEEPS_NON_NEGATIVE = frozenset(
    {"add", "multiply", "divide", "power", "mean", "sum", "minimum", "maximum", "identity",
     "leaky_relu", "reciprocal", "times_bits", "swish", "mish", "cosine_similarity"}
)  # fmt: skip
_ODD_IN_EACH = frozenset({"multiply", "divide", "matrix_product", "cosine_similarity"})
_MIRRORS = {"minimum": "maximum", "maximum": "minimum"}
_SHAPE_ONLY = {
    "softmax": frozenset({"mean", "sum", "l1_mean"}),
    "z_normalise": frozenset({"mean", "sum", "variance", "standard_deviation", "frobenius_norm"}),
    "min_max": frozenset({"minimum", "maximum"}),
}
_KEEPS_ZERO = frozenset({"negate", "abs", "square", "sqrt", "relu", "sign", "leaky_relu"})
_AFFINE_INVARIANT = frozenset({"z_normalise", "min_max"})


@dataclass(frozen=True)
class _Term:
    """A canonical subtree; equal terms have equal texts."""

    name: str
    kind: type
    text: str
    arguments: tuple["_Term", ...] = ()
    non_negative: bool = False
    size: int = 1


def canonical_form(tree: Sequence[Node], primitive_set: PrimitiveSet) -> str:
    """Give a tree's canonical form.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.

    Returns:
        An expression in the plain names of the operators. Where a rule has folded a constant it
        holds a symbol in angle brackets and can no longer be parsed.
    """
    return _canonical_term(tree, primitive_set).text


def simplified(tree: Sequence[Node], primitive_set: PrimitiveSet) -> tuple[list[Node], str]:
    """Give the smaller of a tree and its canonical form, and the form as text.

    Args:
        tree: Nodes in prefix order.
        primitive_set: The set the tree is made of.

    Returns:
        The canonical form as a tree where it is smaller and the set has all it takes, else the
        tree itself; and what `canonical_form` gives. A negation at the root is dropped: a proxy
        and its negation are the same.
    """
    term = _canonical_term(tree, primitive_set)
    if term.size < len(tree) and "<" not in term.text:
        try:
            return list(parse_expression(term.text, primitive_set)), term.text
        except ExpressionError:
            return list(tree), term.text
    return list(tree), term.text


def _canonical_term(tree: Sequence[Node], primitive_set: PrimitiveSet) -> "_Term":
    stack: list[_Term] = []
    for node in reversed(tree):
        if node.arity == 0:
            stack.append(_leaf(node, primitive_set))
            continue
        arguments = tuple(stack.pop() for _ in range(node.arity))
        overload = primitive_set.overloads[node.name]
        stack.append(_folded(overload.operator.name, overload.result, arguments))
    root = stack[-1]
    return root.arguments[0] if root.name == "negate" else root


def _leaf(node: Node, primitive_set: PrimitiveSet) -> _Term:
    terminal = primitive_set.statistics.get(node.name)
    non_negative = terminal is not None and terminal.non_negative
    return _Term(node.name, node.ret, node.name, non_negative=non_negative)


def _plain(name: str, kind: type, arguments: tuple[_Term, ...]) -> _Term:
    """Build a term without folding anything."""
    operator = OPERATORS.get(name)
    non_negative = (operator is not None and operator.non_negative) or (
        name in _KEEPS_NON_NEGATIVE
        and all(argument.non_negative for argument in arguments if argument.text not in _NUMBERS)
    )
    text = f"{name}({', '.join(argument.text for argument in arguments)})"
    size = 1 + sum(argument.size for argument in arguments)
    return _Term(name, kind, text, arguments, non_negative, size)


_NUMBERS = frozenset(map(str, EXPONENTS))


def _negated(term: _Term) -> _Term:
    if term.name == "negate":
        return term.arguments[0]
    return _plain("negate", term.kind, (term,))


def _folded(name: str, kind: type, arguments: tuple[_Term, ...]) -> _Term:
    """Build a term in canonical form from canonical arguments."""
    if name not in OPERATORS or OPERATORS[name].kind is Kind.STRUCTURE:
        return _plain(name, kind, arguments)
    rule = _RULES.get(name)
    if rule is not None:
        folded = rule(kind, *arguments)
        if folded is not None:
            return folded
    if len(arguments) == 1:
        return _folded_unary(name, kind, arguments[0])
    return _folded_binary(name, kind, arguments)


def _folded_unary(name: str, kind: type, x: _Term) -> _Term:  # noqa: PLR0911 - a rule a line
    operator = OPERATORS[name]
    if x.name == name and operator.involution:
        return x.arguments[0]
    if x.name == name and operator.idempotent:
        return x
    if x.non_negative and name in {"abs", "relu"}:
        return x
    if operator.even and x.name == "negate":
        return _folded(name, kind, x.arguments)
    if operator.of_magnitude and x.name == "abs":
        return _folded(name, kind, x.arguments)
    if x.name == "negate" and name in _MIRRORS:
        return _negated(_folded(_MIRRORS[name], kind, x.arguments))
    if operator.odd and x.name == "negate" and name != "negate":
        return _negated(_folded(name, kind, x.arguments))
    if name == "l1_mean" and x.non_negative:
        return _folded("mean", kind, (x,))
    if x.name == "<0>" and name in _KEEPS_ZERO:
        return x
    if x.name in _SHAPE_ONLY and name in _SHAPE_ONLY[x.name]:
        return _Term(name, kind, f"<{name} of {x.name} over {_shape(x)}>", (), x.name == "softmax")
    if name in _AFFINE_INVARIANT and x.name in _AFFINE_INVARIANT:
        return _folded(name, kind, x.arguments)
    return _plain(name, kind, (x,))


def _shape(x: _Term) -> str:
    """Name what decides the shape: the type, and of matrices the type their rows come from."""
    name = x.kind.__name__
    while x.kind is Matrices and x.arguments:
        x = x.arguments[0]
    return name if x.kind.__name__ == name else f"{name} of {x.kind.__name__}"


def _folded_binary(name: str, kind: type, arguments: tuple[_Term, ...]) -> _Term:
    x, y = arguments
    if name in _ODD_IN_EACH:
        if x.name == "negate":
            return _negated(_folded(name, kind, (x.arguments[0], y)))
        if y.name == "negate":
            return _negated(_folded(name, kind, (x, y.arguments[0])))
    operator = OPERATORS[name]
    if operator.commutative and x.kind is y.kind and y.text < x.text:
        return _plain(name, kind, (y, x))
    return _plain(name, kind, (x, y))


def _identity(_: type, x: _Term) -> _Term:
    return x


def _constant(kind: type, value: int) -> _Term:
    """A tensor of one number everywhere."""
    return _Term(f"<{value}>", kind, f"<{value} as {kind.__name__}>", (), non_negative=True)


def _mixed_up(x: _Term, y: _Term) -> bool:
    """Say whether of two types that with the bit axis comes first; canonically it is second."""
    return x.kind is not y.kind and x.kind in (WeightsPerBit, BitTable)


def _without_zero(kind: type, x: _Term, y: _Term) -> _Term | None:
    """Give what is left of ``x + y`` where one of them is zero everywhere."""
    if x.name == "<0>" and y.kind is kind:
        return y
    return x if y.name == "<0>" and x.kind is kind else None


def _add(kind: type, x: _Term, y: _Term) -> _Term | None:
    if x.name == "negate" and y.name == "negate":
        return _negated(_folded("add", kind, (x.arguments[0], y.arguments[0])))
    if y.name == "negate":
        return _folded("subtract", kind, (x, y.arguments[0]))
    if x.name == "negate":
        return _folded("subtract", kind, (y, x.arguments[0]))
    return _without_zero(kind, x, y)


def _subtract(kind: type, x: _Term, y: _Term) -> _Term | None:
    if x.text == y.text:
        return _constant(kind, 0)
    # A sum has its arguments in one order where their types differ.
    if y.name == "negate":
        terms = (y.arguments[0], x) if _mixed_up(x, y) else (x, y.arguments[0])
        return _folded("add", kind, terms)
    if x.name == "negate":
        terms = (y, x.arguments[0]) if _mixed_up(x, y) else (x.arguments[0], y)
        return _negated(_folded("add", kind, terms))
    rest = _without_zero(kind, x, y)
    if rest is not None:
        return _negated(rest) if rest is y else rest
    if _mixed_up(x, y) or (x.kind is y.kind and y.text < x.text):
        return _negated(_plain("subtract", kind, (y, x)))
    return None


def _multiply(kind: type, x: _Term, y: _Term) -> _Term | None:
    if x.name == "<1>" and y.kind is kind:
        return y
    if y.name == "<1>" and x.kind is kind:
        return x
    if "<0>" in (x.name, y.name):
        return _constant(kind, 0)
    if x.text == y.text:
        return _folded("square", kind, (x,))
    return None


def _divide(kind: type, x: _Term, y: _Term) -> _Term | None:
    if x.text == y.text:
        return _constant(kind, 1)
    return x if y.name == "<1>" and x.kind is kind else None


def _less(kind: type, x: _Term, y: _Term) -> _Term | None:
    return _plain("greater", kind, (y, x)) if _mixed_up(x, y) else None


def _greater(kind: type, x: _Term, y: _Term) -> _Term | None:
    return _plain("less", kind, (y, x)) if x.kind is y.kind or _mixed_up(x, y) else None


def _power(kind: type, x: _Term, exponent: _Term) -> _Term | None:
    if exponent.text == "1.0":
        return x
    if x.name == "negate":
        return _negated(_folded("power", kind, (x.arguments[0], exponent)))
    if x.name == "power":
        product = str(float(x.arguments[1].text) * float(exponent.text))
        if product in _NUMBERS:
            merged = _Term(product, exponent.kind, product)
            return _folded("power", kind, (x.arguments[0], merged))
    if x.non_negative and exponent.text == "2.0":
        return _folded("square", kind, (x,))
    if x.non_negative and exponent.text == "0.5":
        return _folded("sqrt", kind, (x,))
    return None


def _sqrt(kind: type, x: _Term) -> _Term | None:
    return _folded("abs", kind, x.arguments) if x.name == "square" else None


def _square(kind: type, x: _Term) -> _Term | None:
    return _folded("relu", kind, x.arguments) if x.name == "sqrt" else None


_RULES: dict[str, Callable[..., _Term | None]] = {
    "identity": _identity,
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "less": _less,
    "greater": _greater,
    "power": _power,
    "sqrt": _sqrt,
    "square": _square,
}
