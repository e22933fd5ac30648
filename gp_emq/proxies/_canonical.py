"""The canonical form of a tree: what it comes to once equal ways of writing it are folded.

Two trees with the same canonical form give the same ranking on every network, so a search
evaluates only the first. The rules are identities of real arithmetic: arguments of commutative
operators are sorted, involutions and idempotents folded, signs pulled to the root and dropped
there (a proxy and its negation are the same proxy), and reductions of normalised tensors that
depend on the shape alone are folded to one symbol each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from gp_emq.errors import ExpressionError
from gp_emq.proxies._expression import Node, parse_expression
from primitives import (
    EXPONENTS,
    NUMBER_TYPES,
    OPERATORS,
    PER_BIT_TYPES,
    BitTable,
    Exponent,
    Identity,
    Matrices,
    Operator,
    Pattern,
    PrimitiveSet,
    Role,
)  # fmt: skip

_DRAWN = frozenset(map(str, EXPONENTS))
_MAGNITUDE, _NEGATE = OPERATORS["abs"], OPERATORS["negate"]


@dataclass(frozen=True)
class _Term:
    """A canonical subtree; equal terms have equal texts."""

    name: str
    kind: type
    text: str
    arguments: tuple["_Term", ...] = ()
    non_negative: bool = False
    size: int = 1
    operator: Operator | None = None


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
        tree itself; and what `canonical_form` gives. A negation or a factor at the root is dropped:
        a proxy is the same with it.
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
        stack.append(_folded(overload.operator, overload.result, arguments))
    root = stack[-1]
    # Neither a sign nor a factor above 0 changes what a proxy is.
    while root.name in ("negate", "scaled"):
        root = root.arguments[0]
    return root


def _leaf(node: Node, primitive_set: PrimitiveSet) -> _Term:
    terminal = primitive_set.statistics.get(node.name)
    non_negative = terminal is not None and terminal.non_negative
    return _Term(node.name, node.ret, node.name, non_negative=non_negative)


def _plain(operator: Operator, kind: type, arguments: tuple[_Term, ...]) -> _Term:
    """Build a term without folding anything."""
    non_negative = operator.non_negative or (
        operator.keeps_non_negative
        and all(one.non_negative for one in arguments if one.kind not in NUMBER_TYPES)
    )
    text = f"{operator.name}({', '.join(argument.text for argument in arguments)})"
    size = 1 + sum(argument.size for argument in arguments)
    return _Term(operator.name, kind, text, arguments, non_negative, size, operator)


def _constant(kind: type, value: str) -> _Term:
    """A tensor of one number everywhere."""
    return _Term(f"<{value}>", kind, f"<{value} as {kind.__name__}>", (), non_negative=True)


def _negated(term: _Term) -> _Term:
    if term.operator is _NEGATE:
        return term.arguments[0]
    return _plain(_NEGATE, term.kind, (term,))


def _folded(operator: Operator, kind: type, arguments: tuple[_Term, ...]) -> _Term:
    """Build a term in canonical form from canonical arguments."""
    if operator.kind is Role.STRUCTURE:
        return _plain(operator, kind, arguments)
    by_properties = _folded_unary if len(arguments) == 1 else _folded_binary
    return (
        _by_identities(operator, kind, arguments, conditional=False)
        or by_properties(operator, kind, *arguments)
        or _by_identities(operator, kind, arguments, conditional=True)
        or (_of_normalised(operator, kind, arguments[0]) if len(arguments) == 1 else None)
        or _plain(operator, kind, arguments)
    )


def _folded_unary(  # noqa: PLR0911 - a rule a line
    operator: Operator, kind: type, x: _Term
) -> _Term | None:
    if x.operator is operator and operator.involution:
        return x.arguments[0]
    if x.operator is operator and operator.idempotent:
        return x
    if operator.of_magnitude and x.operator is _MAGNITUDE:
        return _folded(operator, kind, x.arguments)
    if x.operator is _NEGATE and operator is not _NEGATE:
        if operator.even:
            return _folded(operator, kind, x.arguments)
        if operator.mirror:
            return _negated(_folded(OPERATORS[operator.mirror], kind, x.arguments))
        if operator.odd:
            return _negated(_folded(operator, kind, x.arguments))
    return None


def _of_normalised(operator: Operator, kind: type, x: _Term) -> _Term | None:
    """Fold what is made of zero, or of a normalised tensor."""
    if x.name == "<0>" and operator.keeps_zero:
        return x
    below = x.operator
    if below is not None and operator.name in below.constant_under:
        # Of a layer of one number everywhere an affine normaliser makes nan.
        non_negative = below.non_negative and below.affine is None
        text = f"<{operator.name} of {x.name} over {_shape(x)}>"
        return _Term(operator.name, kind, text, (), non_negative)
    if operator.affine is not None and below is not None and below.affine is not None:
        return _folded(operator, kind, x.arguments)
    return None


def _shape(x: _Term) -> str:
    """Name what decides the shape: the type, and of matrices the type their rows come from."""
    name = x.kind.__name__
    while x.kind is Matrices and x.arguments:
        x = x.arguments[0]
    return name if x.kind.__name__ == name else f"{name} of {x.kind.__name__}"


def _folded_binary(operator: Operator, kind: type, x: _Term, y: _Term) -> _Term | None:
    if operator.odd_in_each:
        if x.operator is _NEGATE:
            return _negated(_folded(operator, kind, (x.arguments[0], y)))
        if y.operator is _NEGATE:
            return _negated(_folded(operator, kind, (x, y.arguments[0])))
    # Where types differ, that with the bit axis comes second.
    mixed_up = x.kind is not y.kind and x.kind in (*PER_BIT_TYPES, BitTable)
    sorts = mixed_up or (x.kind is y.kind and y.text < x.text)
    if operator.commutative and sorts:
        return _plain(operator, kind, (y, x))
    if operator.antisymmetric and sorts:
        return _negated(_plain(operator, kind, (y, x)))
    # Of an operator and its converse one is enough where both take the same.
    if operator.converse and (mixed_up or (x.kind is y.kind and operator.name < operator.converse)):
        return _plain(OPERATORS[operator.converse], kind, (y, x))
    return None


def _by_identities(
    operator: Operator, kind: type, arguments: tuple[_Term, ...], *, conditional: bool
) -> _Term | None:
    """Apply the first of an operator's identities, with or without a condition, that fits."""
    for identity in map(Identity.read, operator.identities):
        if bool(identity.non_negative) is not conditional:
            continue
        found: dict[str, _Term] = {}
        if all(map(partial(_matches, found), identity.left.arguments, arguments)) and (
            not conditional or found[identity.non_negative].non_negative
        ):
            built = _built(identity.right, found, kind)
            if built is not None and built.kind is kind:
                return built
    return None


def _matches(found: dict[str, _Term], pattern: Pattern, term: _Term) -> bool:
    """Match a subtree, and note in ``found`` what each letter stands for."""
    if pattern.arguments:
        return term.name == pattern.name and all(
            map(partial(_matches, found), pattern.arguments, term.arguments)
        )
    if pattern.name.isalpha():
        return found.setdefault(pattern.name, term).text == term.text
    return pattern.name in (term.text, term.name.strip("<>"))


def _built(pattern: Pattern, found: dict[str, _Term], kind: type) -> _Term | None:
    """Build the right side of an identity; none where a product is no exponent that is drawn."""
    if not pattern.arguments:
        if pattern.name in found:
            return found[pattern.name]
        if not pattern.name.isalpha():
            return _constant(kind, pattern.name)
        factors = [found[letter] for letter in pattern.name]
        return _product(factors)
    arguments = [_built(argument, found, kind) for argument in pattern.arguments]
    if None in arguments:
        return None
    terms = tuple(argument for argument in arguments if argument is not None)
    if pattern.name == _NEGATE.name:
        return _negated(terms[0])
    return _folded(OPERATORS[pattern.name], kind, terms)


def _product(factors: Sequence[_Term]) -> _Term | None:
    """Multiply numbers; None for exponents that a search draws, where it could not draw theirs."""
    texts, kind = [factor.text for factor in factors], factors[0].kind
    product = str(float(f"{math.prod(map(float, texts)):.12g}"))
    if kind is Exponent and _DRAWN.issuperset(texts) and product not in _DRAWN:
        return None
    return _Term(product, kind, product)
