"""A proxy: what gives a network's sensitivity table, whoever found it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.proxies._evaluator import Evaluator
from gp_emq.proxies._expression import Node, parse_expression
from gp_emq.proxies._forms import AS_PUBLISHED, EVOLVED
from gp_emq.proxies._inputs import ProxyInputs
from gp_emq.proxies._kept import kept_values
from gp_emq.proxies._language import language
from gp_emq.proxies._room import with_room_for_squares
from gp_emq.proxies._table import SensitivityTable
from gp_emq.statistics import Statistics
from primitives import PrimitiveSet

FloatArray = NDArray[np.float64]

Rule = str | Callable[[ProxyInputs], Tensor]
"""A typed expression, or a function that gives an oriented table, float64 (entries, bits)."""

_EXACT = "quantization_mse"
"""The statistic that is 0 where a width changes nothing."""


@dataclass(frozen=True)
class Proxy:
    """A proxy: hand-crafted, evolved, or an expression of one's own.

    A hand-crafted one is one record of `gp_emq.proxies.handcrafted`; `load_proxy` gives all.

    Attributes:
        name: What it is called.
        family: What it looks at: size, curvature, gradient, activation, weight or evolved.
        description: One line.
        formula: Readable mathematics of the aligned form.
        source: Where it was published; empty for what is not hand-crafted.
        aligned: The method as its paper derives it, on trained weights.
        as_published: As public ranking scripts compute it; None where that is the same.
        uses: Names of the statistics that its functions use; those of expressions are known.
        unchanged: Value of its formula where a width changes none of an entry's weights, which
            are all zero or all on the grid; None where the formula needs no such value.
        sign: What orients its table; 0 if more bits decide, see `load_proxy`.
        own_set: The primitive set that its expression is of, where that is not `language()`.
    """

    name: str
    family: str
    description: str
    formula: str
    source: str
    aligned: Rule
    as_published: Rule | None = None
    uses: tuple[str, ...] = ()
    unchanged: float | None = None
    sign: int = 1
    own_set: PrimitiveSet | None = field(default=None, repr=False)

    @classmethod
    def evolved(
        cls,
        name: str,
        formula: str,
        expression: str,
        sign: int = 0,
        primitive_set: PrimitiveSet | None = None,
    ) -> "Proxy":
        """Make a proxy of an expression.

        Args:
            name: What to call it.
            formula: Readable mathematics.
            expression: The typed expression.
            sign: What orients its table; 0 if more bits decide.
            primitive_set: The set that the expression is of; None for `language()`.
        """
        own_set = None if primitive_set is language() else primitive_set
        return cls(name, EVOLVED, "", formula, "", expression, sign=sign, own_set=own_set)

    def form(self, name: str) -> "Proxy":
        """Give a form of it; the aligned one stands in where the published is the same.

        Args:
            name: One of `FORMS`.
        """
        if name != AS_PUBLISHED or self.as_published is None:
            return self
        # What the aligned formula is worth where nothing changes says nothing of another.
        return replace(self, aligned=self.as_published, as_published=None, unchanged=None)

    @property
    def is_handcrafted(self) -> bool:
        """Whether it was published, and neither found by a search nor written by the user."""
        return bool(self.source)

    @property
    def expression(self) -> str:
        """The typed expression; empty where it is no formula over statistics."""
        return self.aligned if isinstance(self.aligned, str) else ""

    @property
    def primitive_set(self) -> PrimitiveSet:
        """The set that the expression is of."""
        return self.own_set or language()

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Names of the statistics it is computed from, sorted."""
        names = set(self.uses)
        if self.expression:
            known = self.primitive_set.statistics
            leaves = [known.get(node.name) for node in self._tree if node.arity == 0]
            names = {name for leaf in leaves if leaf is not None for name in leaf.needs}
        if self.expression and self.unchanged is not None:
            names.add(_EXACT)
        return tuple(sorted(names))

    def table(
        self, given: Statistics | ProxyInputs, *, cache: Path | None = None
    ) -> SensitivityTable:
        """Compute the sensitivity table of a network; only what it names is collected.

        Args:
            given: The network's statistics, or what several proxies share.
            cache: The folder that was given to `collect_statistics`: a table that the same code
                computed before is read from it. None computes, and so does a proxy with code of
                the user's own, which may have changed.

        Returns:
            float64 (entries, bits), oriented: a higher sum predicts a higher accuracy. It knows
            its layers and widths, and may hold inf or nan where the formula gives it.

        Raises:
            StatisticsError: What is given are no statistics, the proxy runs the network itself and
                they were read from disk, or one that it names does not exist.
            ShapeMismatchError: Two tensors inside one of EMQ's fixed structures do not fit.
            RunError: The cache cannot be written.
        """
        if not isinstance(given, (Statistics, ProxyInputs)):
            raise StatisticsError(
                f"a table is made of what gp_emq.collect_statistics gives, not of "
                f"{type(given).__name__}"
            )
        statistics = given if isinstance(given, Statistics) else given.statistics
        identity = self._identity
        values = (
            self._values(given)
            if cache is None or identity is None
            else kept_values(lambda: self._values(given), identity, statistics, cache)
        )
        return SensitivityTable(
            values,
            bits=statistics.bits,
            layers=statistics.layers,
            proxy=self.name,
            formula=self.formula,
            expression=self.expression,
            statistics=statistics.fingerprint,
            kept_in_float=statistics.kept_in_float,
        )

    @cached_property
    def _tree(self) -> Sequence[Node]:
        tree: Sequence[Node] = parse_expression(self.expression, self.primitive_set)
        return tree

    @property
    def _identity(self) -> tuple[str, ...] | None:
        """What says all about its tables beside our code; None where a user's code is in them."""
        if isinstance(self.aligned, str):
            rule = None if self.own_set is not None else self.aligned
        else:
            module = getattr(self.aligned, "__module__", "")
            name = getattr(self.aligned, "__qualname__", "")
            rule = f"{module}.{name}" if name and module.startswith("gp_emq.") else None
        return None if rule is None else (rule, str(self.sign), str(self.unchanged))

    def _values(self, given: Statistics | ProxyInputs) -> FloatArray:
        with torch.inference_mode(mode=False), torch.no_grad():
            if isinstance(given, Statistics):
                given = ProxyInputs(given, f"proxy {self.name}")
            rule = self.aligned
            table = self._evaluated(given.statistics) if isinstance(rule, str) else rule(given)
        values: FloatArray = table.to(torch.float64).numpy()
        return values * (self.sign or _rising(values))

    def _evaluated(self, statistics: Statistics) -> Tensor:
        wide = with_room_for_squares(statistics, self.needs)
        table = Evaluator(self.primitive_set, wide).table(self._tree)
        if self.unchanged is None:
            return table
        return table.masked_fill(statistics.tensor(_EXACT) == 0, self.unchanged)


def _rising(table: FloatArray) -> int:
    """Give the sign with which more bits raise the score of at least half of the entries."""
    with np.errstate(invalid="ignore"):
        rises = table[:, -1] - table[:, 0]
    return -1 if np.count_nonzero(rises < 0) > np.count_nonzero(rises > 0) else 1
