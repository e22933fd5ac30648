"""Proxies by name, from a run, or as an expression, ready to be computed of any network."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import ExpressionError, PrimitiveSetError, StatisticsError
from gp_emq.files import shortened
from gp_emq.proxies._evaluator import Evaluator
from gp_emq.proxies._expression import Node, parse_expression
from gp_emq.proxies._formula import to_formula
from gp_emq.proxies._language import language
from gp_emq.proxies._table import SensitivityTable
from gp_emq.proxies.handcrafted import (
    ALIASES,
    HANDCRAFTED,
    HandcraftedProxy,
    ProxyInputs,
    handcrafted_proxy,
    handcrafted_table,
)
from gp_emq.statistics import Statistics
from gp_emq.store import HallOfFame, read_hall_of_fame
from primitives import PrimitiveSet, load_primitive_set, primitive_set_names

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Proxy:
    """A proxy, whatever it comes from.

    Attributes:
        name: What it is called.
        formula: Readable mathematics.
        expression: The typed expression; empty where it is no formula over statistics.
        sign: What orients the expression's table; 0 if more bits decide, see `load_proxy`.
        primitive_set: The set that the expression is of.
        method: The hand-crafted proxy, or None.
    """

    name: str
    formula: str
    expression: str
    sign: int
    primitive_set: PrimitiveSet
    method: HandcraftedProxy | None = None

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Names of the statistics it is computed from, sorted."""
        if not self.expression:
            return () if self.method is None else tuple(sorted(self.method.needs))
        return needed_statistics(
            parse_expression(self.expression, self.primitive_set), self.primitive_set
        )

    @property
    def portable(self) -> bool:
        """Whether name and expression say all about it: nothing of a user's own is in it."""
        return self.primitive_set is language()

    def table(self, statistics: Statistics) -> SensitivityTable:
        """Compute the sensitivity table of a network; only what it names is collected.

        Args:
            statistics: The network's statistics.

        Returns:
            float64 (entries, bits), oriented: a higher sum predicts a higher accuracy. It knows
            its layers and widths, and may hold inf or nan where the formula gives it.

        Raises:
            StatisticsError: The proxy runs the network itself, and the statistics were read
                from disk, or one that it names does not exist.
            ShapeMismatchError: Two tensors inside one of EMQ's fixed structures do not fit.
        """
        if self.method is not None:
            return self.label(handcrafted_table(self.method, self._inputs(statistics)), statistics)
        tree = parse_expression(self.expression, self.primitive_set)
        table: FloatArray = Evaluator(self.primitive_set, statistics).table(tree).numpy()
        return self.label(table * (self.sign or _rising(table)), statistics)

    def label(self, values: FloatArray, statistics: Statistics) -> SensitivityTable:
        """Say of values that `table` gave for these statistics what they are of.

        Args:
            values: float64 (entries, bits), oriented.
            statistics: The network's statistics.
        """
        return SensitivityTable(
            values,
            bits=statistics.bits,
            layers=statistics.layers,
            proxy=self.name,
            formula=self.formula,
            expression=self.expression,
            statistics=statistics.fingerprint,
        )

    def _inputs(self, statistics: Statistics) -> ProxyInputs:
        origin = statistics.origin
        if origin is None:
            raise StatisticsError(
                f"proxy {self.name} needs the network beside its statistics: use those that "
                "collect_statistics gives"
            )
        return ProxyInputs(statistics, origin.workload, origin.quantizer, origin.network)


def load_proxy(source: str | Path, *, primitives: str | None = None) -> Proxy:
    """Load a proxy.

    A run's formula has the sign that its training configurations gave it. An expression has
    none: it is taken as it is if more bits raise the score of at least half of the entries, and
    with the opposite sign otherwise.

    Args:
        source: The name of a hand-crafted proxy (`python -m gp_emq.rank --list-proxies`), the
            folder of a run or its `hall_of_fame.json`, or a typed expression.
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
    text = str(source)
    path = Path(source)
    if isinstance(source, str) and _is_name(text):
        method = handcrafted_proxy(text)
        expression = method.aligned if isinstance(method.aligned, str) else ""
        return Proxy(method.name, method.formula, expression, 1, language(), method)
    if isinstance(source, Path) or (text and _exists(path)):
        return _from_hall_of_fame(path, primitives)
    if "(" not in text and not any(name in text for name in ("bits", "quantization_mse")):
        close = _hint(text)
        raise ExpressionError(
            f"no proxy {text!r}: {close}give a name (python -m gp_emq.rank --list-proxies), the "
            "folder of a run, a hall_of_fame.json, or an expression"
        )
    tree = parse_expression(text, language())
    return Proxy("expression", to_formula(tree, language()), text, 0, language())


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


def needed_statistics(tree: Sequence[Node], primitive_set: PrimitiveSet) -> tuple[str, ...]:
    """Names of the statistics that a tree is computed from, sorted."""
    leaves = [primitive_set.statistics.get(node.name) for node in tree if node.arity == 0]
    return tuple(sorted({name for leaf in leaves if leaf is not None for name in leaf.needs}))


def _from_hall_of_fame(path: Path, primitives: str | None) -> Proxy:
    hall = read_hall_of_fame(path)
    folder = path if path.is_dir() else path.parent
    best = hall.best
    name = folder.resolve().name or str(path)
    primitive_set = hall_of_fame_language(hall, primitives)
    return Proxy(name, best.formula, best.expression, best.sign, primitive_set)


def _rising(table: FloatArray) -> int:
    rises = table[:, -1] - table[:, 0]
    return -1 if np.count_nonzero(rises < 0) > np.count_nonzero(rises > 0) else 1


def _is_name(text: str) -> bool:
    try:
        handcrafted_proxy(text)
    except ExpressionError:
        return False
    return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # an expression may be too long to be a file's name
        return False


def _hint(text: str) -> str:
    close = difflib.get_close_matches(text, [*HANDCRAFTED, *ALIASES], n=1)
    return f"did you mean {close[0]!r}? " if close else ""
