"""The tables of `docs/primitives.md`: every statistic and operator, from the records."""

from collections.abc import Iterable, Iterator, Sequence

from primitives._catalogue import signatures_of
from primitives._operator import Operator, Signature
from primitives._terminals import Terminal

BEGIN, END = "<!-- begin: python -m primitives -->", "<!-- end -->"
"""What the tables stand between."""

_LAWS = {
    "commutative": "commutative",
    "antisymmetric": "f(y, x) = −f(x, y)",
    "involution": "f(f(x)) = x",
    "idempotent": "f(f(x)) = f(x)",
    "even": "even",
    "odd": "odd",
    "of_magnitude": "f(\\|x\\|) = f(x)",
    "odd_in_each": "odd in each argument",
    "non_negative": "≥ 0",
    "keeps_non_negative": "≥ 0 where its arguments are",
    "keeps_zero": "0 of 0",
}


def filled(page: str, statistics: Iterable[Terminal], operators: Iterable[Operator]) -> str:
    """Put the tables into a page.

    Args:
        page: Its text, with both marks.
        statistics: What stands at the leaves of trees.
        operators: The operators.

    Raises:
        ValueError: A mark is missing.
    """
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    lines = [*_statistics(statistics), *_operators(operators)]
    return before + mark + "\n\n" + "\n".join(lines) + "\n\n" + end + after


def _statistics(statistics: Iterable[Terminal]) -> Iterator[str]:
    yield from ("### Statistics", "")
    yield from (
        "| name | in formulas | type | is | needs | scale | properties |",
        "|---|---|---|---|---|---|---|",
    )
    for leaf in statistics:
        needs = ", ".join(sorted(leaf.aspects)) or "–"
        properties = ["≥ 0"] * leaf.non_negative + ["of no network"] * (not leaf.informative)
        yield _row(f"`{leaf.name}`", leaf.symbol, f"`{leaf.type.__name__}`", leaf.description,
                   needs, _scale(leaf.exponent), ", ".join(properties) or "–")  # fmt: skip


def _scale(exponent: float | None) -> str:
    return "–" if exponent is None else f"{exponent:g}"


def _operators(operators: Iterable[Operator]) -> Iterator[str]:
    """Give a table for the operators of each list of signatures."""
    groups: dict[tuple[Signature, ...], list[Operator]] = {}
    for operator in operators:
        groups.setdefault(signatures_of(operator), []).append(operator)
    for signatures, group in groups.items():
        kinds = ", ".join(dict.fromkeys(operator.kind.value for operator in group))
        yield from ("", f"### {kinds}: {_takes(signatures)}", "")
        yield from (f"- {_signature(signature)}" for signature in signatures)
        yield from ("", "| name | is | in formulas | properties |", "|---|---|---|---|")
        for operator in group:
            yield _row(f"`{operator.name}`", _cell(operator.formula), _cell(_written(operator)),
                       ", ".join(_properties(operator)) or "–")  # fmt: skip


def _takes(signatures: Sequence[Signature]) -> str:
    count = len(signatures[0][0]) if signatures else 0
    return f"{count} argument{'s' * (count != 1)}"


def _signature(signature: Signature) -> str:
    arguments, result = signature
    return f"`{' × '.join(kind.__name__ for kind in arguments)} → {result.__name__}`"


def _written(operator: Operator) -> str:
    return operator.template.format(*"xyabcdefghi"[: operator.arity])


def _properties(operator: Operator) -> Iterator[str]:
    yield from (text for name, text in _LAWS.items() if getattr(operator, name))
    if operator.mirror:
        yield f"f(−x) = −`{operator.mirror}`(x)"
    if operator.converse:
        yield f"f(x, y) = `{operator.converse}`(y, x)"
    if operator.affine is not None:
        yield "a shift and a scale of each layer"
    if operator.constant_under:
        yield f"a constant under {', '.join(f'`{name}`' for name in operator.constant_under)}"
    yield from (f"`{identity}`" for identity in operator.identities)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
