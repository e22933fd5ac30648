"""Proxies by name, from a run, or as an expression, ready to be computed of any network."""

from dataclasses import replace
from pathlib import Path

from gp_emq.errors import ExpressionError, PrimitiveSetError
from gp_emq.files import did_you_mean, shortened
from gp_emq.proxies._expression import parse_expression
from gp_emq.proxies._formula import to_formula
from gp_emq.proxies._language import language
from gp_emq.proxies._measured_whole import measured_whole
from gp_emq.proxies._proxy import Proxy
from gp_emq.proxies.handcrafted import ALIASES, HANDCRAFTED, RANKING, handcrafted_proxy
from gp_emq.proxies.shipped import WHOLE, shipped_files
from gp_emq.store import HallOfFame, read_hall_of_fame
from primitives import PrimitiveSet, load_primitive_set, primitive_set_names


def load_proxy(source: str | Path, *, primitives: str | None = None) -> Proxy:
    """Load a proxy.

    A run's formula has the sign that its training configurations gave it. An expression has
    none: it is taken as it is if more bits raise the score of at least half of the entries, and
    with the opposite sign otherwise.

    Args:
        source: The name of a hand-crafted proxy or of a shipped formula, which begins with `gp-`
            (`python -m gp_emq.rank --list-proxies`), the folder of a run or its
            `hall_of_fame.json`, or a typed expression, which may have `NAME=` before it.
        primitives: Name or file of the primitive set that a run was made with. It is needed where
            the set is one's own and has operators of its own: no run names code to run.

    Returns:
        The proxy.

    Raises:
        ExpressionError: It is no name, no file, and does not parse as an expression.
        RunError: The run has no hall of fame, or it is damaged.

    Examples:
        >>> import gp_emq
        >>> gp_emq.load_proxy("fit").formula
        '−tr(F)/n·‖ΔW‖²'
        >>> proxy = gp_emq.load_proxy("negate(sum(square(quantization_perturbation)))")
        >>> proxy.needs
        ('perturbation',)
        >>> from torch import nn, ones
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> statistics = gp_emq.collect_statistics(network, ones(4, 1, 4, 4), bits=(2, 3, 4))
        >>> table = proxy.table(statistics)
        >>> table.shape, bool(table[0, 0] < table[0, 1] < table[0, 2])
        ((1, 3), True)
    """
    if not isinstance(source, (str, Path)):
        raise ExpressionError(
            f"a proxy is loaded by its name, a path or an expression, not {type(source).__name__}"
        )
    text = str(source)
    path = Path(source)
    if isinstance(source, str) and is_named(text):
        return shipped_proxy(text) if _ships(text) else handcrafted_proxy(text)
    if isinstance(source, Path) or (text and _exists(path)):
        return _from_hall_of_fame(path, primitives)
    if "(" not in text and not any(name in text for name in ("bits", "quantization_mse")):
        close = _hint(text)
        raise ExpressionError(
            f"no proxy {text!r}: {close}give a name (python -m gp_emq.rank --list-proxies), the "
            "folder of a run, a hall_of_fame.json, or an expression"
        )
    return expression_proxy(text)


def is_named(text: str) -> bool:
    """Whether a text is the name of a proxy, hand-crafted or one that ships."""
    return _ships(text) or text in (*HANDCRAFTED, *RANKING, *ALIASES)


def shipped_proxy(name: str) -> Proxy:
    """Give an evolved formula that ships: the one that the search behind it recommends.

    Args:
        name: One of `shipped_files` or of `WHOLE`. docs/formulas.md says how each was found.
    """
    if name in WHOLE:
        table, description = WHOLE[name]
        return measured_whole(name, description, shipped_proxy(table))
    return replace(_from_hall_of_fame(shipped_files()[name], None), name=name)


def expression_proxy(text: str) -> Proxy:
    """Give the proxy of a typed expression, or of `NAME=EXPRESSION`; it has no sign.

    Raises:
        ExpressionError: It does not parse.
    """
    name, separator, rest = text.partition("=")
    name, expression = (name.strip(), rest) if separator else ("expression", text)
    formula = to_formula(parse_expression(expression, language()), language())
    return Proxy.evolved(name, formula, expression)


def hall_of_fame_language(hall: HallOfFame, primitives: str | None = None) -> PrimitiveSet:
    """Give the set that the best formula of a hall of fame is of.

    Args:
        hall: The hall of fame.
        primitives: Name or file of the primitive set, where the caller says it.

    Returns:
        The common language where that reads it, else the set that the caller says, else that of
        the run if it is a registered one.

    Raises:
        GpEmqError: None of them reads it, or the run names a set that is not registered.
    """
    expression = hall.best.expression
    try:
        parse_expression(expression, language())
    except ExpressionError:
        named = hall.provenance.primitive_set
        if primitives is None and named not in primitive_set_names():
            raise PrimitiveSetError(
                f"the formula {shortened(expression)} is of the primitive set {shortened(named)}, "
                "which is not registered, and no file may name code that runs: give --primitives "
                "FILE.py"
            ) from None
        primitive_set = load_primitive_set(primitives or named)
        parse_expression(expression, primitive_set)
        return primitive_set
    return language()


def _from_hall_of_fame(path: Path, primitives: str | None) -> Proxy:
    hall = read_hall_of_fame(path)
    folder = path if path.is_dir() else path.parent
    best = hall.best
    name = folder.resolve().name or str(path)
    primitive_set = hall_of_fame_language(hall, primitives)
    return Proxy.evolved(name, best.formula, best.expression, best.sign, primitive_set)


def _ships(name: str) -> bool:
    return name in (*shipped_files(), *WHOLE)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # an expression may be too long to be a file's name
        return False


def _hint(text: str) -> str:
    return did_you_mean(text, (*HANDCRAFTED, *RANKING, *ALIASES, *shipped_files(), *WHOLE))
