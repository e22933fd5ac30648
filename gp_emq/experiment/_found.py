"""What a search found, to be used from Python: formulas that give tables of any network."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gp_emq.errors import DataError
from gp_emq.networks import Images, Labels, Workload
from gp_emq.proxies import Node, Proxy, SensitivityTable, parse_expression
from gp_emq.statistics import Statistics, collect_statistics
from gp_emq.store import Member
from primitives import PrimitiveSet

if TYPE_CHECKING:
    import sympy
    from torch import nn


@dataclass(frozen=True)
class Formula:
    """One formula of a search's Pareto front of training tau against size.

    Attributes:
        expression: the typed expression, which `load_proxy` reads.
        text: readable mathematics; the table is this times the sign.
        sign: +1 or −1; what orients it so that a higher sum predicts a higher accuracy.
        size: nodes of its tree.
        training: what the search maximised, on the training configurations.
        validation: the same on the validation configurations.
        best: whether it is the one that the search recommends.
    """

    expression: str
    text: str
    sign: int
    size: int
    training: float
    validation: float
    best: bool
    primitive_set: PrimitiveSet = field(repr=False, compare=False)

    @classmethod
    def of(cls, member: Member, primitive_set: PrimitiveSet) -> "Formula":
        """Make the formula of a member of a hall of fame."""
        return cls(
            member.expression,
            member.formula,
            member.sign,
            member.size,
            member.training_tau,
            member.validation_tau,
            member.best,
            primitive_set,
        )

    def __str__(self) -> str:
        return f"−({self.text})" if self.sign < 0 else self.text

    @property
    def proxy(self) -> Proxy:
        """The formula as `load_proxy` gives proxies, for `rank`, `allocate` and tables."""
        return Proxy.evolved("evolved", self.text, self.expression, self.sign, self.primitive_set)

    def sympy(self) -> "sympy.Expr":
        """Give it as a sympy expression, oriented; see `gp_emq.proxies.symbols`."""
        from gp_emq.proxies.symbols import to_sympy  # noqa: PLC0415 - sympy is slow to import

        return self.sign * to_sympy(self._tree(), self.primitive_set)

    def latex(self) -> str:
        """Give it as LaTeX for math mode, oriented."""
        from gp_emq.proxies.symbols import as_latex  # noqa: PLC0415 - as above

        return as_latex(self.sympy())

    def table(
        self,
        network: "nn.Module | Workload | Statistics",
        images: Images | None = None,
        labels: Labels | None = None,
        *,
        bits: Sequence[int] = (2, 3, 4, 8),
    ) -> SensitivityTable:
        """Compute the sensitivity table of a network that the search need not have seen.

        Args:
            network: A model, a workload, or statistics that are collected already.
            images: Calibration images of the model, as for `collect_statistics`.
            labels: Of the images; None takes the network's own predictions.
            bits: The widths, rising; statistics know theirs.

        Returns:
            float64 (entries, bits), oriented: a higher sum predicts a higher accuracy.

        Raises:
            GpEmqError: as `collect_statistics` and `Proxy.table` do, or a model has no images.
        """
        if not isinstance(network, Statistics):
            if not isinstance(network, Workload):
                images = _given(images)
            network = collect_statistics(network, images, labels, bits=bits)
        return self.proxy.table(network)

    def _tree(self) -> Sequence[Node]:
        tree: Sequence[Node] = parse_expression(self.expression, self.primitive_set)
        return tree


def _given(images: Images | None) -> Images:
    if images is None:
        raise DataError("a model needs calibration images: table(model, images)")
    return images


@dataclass(frozen=True)
class Result:
    """How a search ended, and what it found.

    Attributes:
        folder: where it lies.
        completed: False if it was interrupted and can be resumed.
        generations: completed generations, the initial population not counted.
        summary: figures of the recommended formula and what it is compared with, as the report
            shows them; None if it was interrupted.
        reason: why the search stopped, in words.
        formulas: the Pareto front of training tau against size, smallest first.
    """

    folder: Path
    completed: bool
    generations: int
    summary: dict[str, Any] | None
    reason: str
    formulas: tuple[Formula, ...] = ()

    @property
    def best(self) -> Formula:
        """The formula that the search recommends."""
        return next(formula for formula in self.formulas if formula.best)

    def front(self) -> Any:
        """Give the Pareto front as a table.

        Returns:
            A `pandas.DataFrame` where pandas is installed, else a list of dicts; a row for each
            formula with its size, training and validation figure, sign, formula and expression.
        """
        rows = [
            {
                "size": formula.size,
                "training": formula.training,
                "validation": formula.validation,
                "best": formula.best,
                "sign": formula.sign,
                "formula": formula.text,
                "expression": formula.expression,
            }
            for formula in self.formulas
        ]
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            return rows
        return pandas.DataFrame(rows)

    def table(
        self,
        network: "nn.Module | Workload | Statistics",
        images: Images | None = None,
        labels: Labels | None = None,
        *,
        bits: Sequence[int] = (2, 3, 4, 8),
    ) -> SensitivityTable:
        """Compute the recommended formula's sensitivity table; see `Formula.table`."""
        return self.best.table(network, images, labels, bits=bits)
