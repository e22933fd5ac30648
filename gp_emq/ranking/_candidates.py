"""What is ranked: hand-crafted proxies, the best of a run, or an expression."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gp_emq.correlation import kendall_tau, why_unrankable
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import Bench
from gp_emq.outputs import has_no_room
from gp_emq.proxies import Evaluator, configuration_scores, language, parse_expression, to_formula
from gp_emq.proxies.handcrafted import (
    HANDCRAFTED,
    HandcraftedProxy,
    ProxyInputs,
    handcrafted_proxy,
    handcrafted_table,
)
from gp_emq.proxies.loading import hall_of_fame_language, needed_statistics
from gp_emq.store import read_hall_of_fame
from primitives import PrimitiveSet

FloatArray = NDArray[np.float64]

EVOLVED = "evolved"
"""Family of what is given by a run or an expression."""


@dataclass(frozen=True)
class Candidate:
    """One proxy to rank.

    Attributes:
        name: What it is called in the results.
        family: Of a hand-crafted proxy its own, else `"evolved"`.
        formula: Readable mathematics.
        proxy: The hand-crafted proxy, or None.
        expression: The typed expression of an evolved one, else empty.
        primitive_set: The set that the expression is of.
        sign: Orientation that a run stored; 0 if the training configurations decide.
    """

    name: str
    family: str
    formula: str
    proxy: HandcraftedProxy | None = None
    expression: str = ""
    primitive_set: PrimitiveSet | None = None
    sign: int = 0

    @property
    def handcrafted(self) -> bool:
        """Whether it competes for being the best hand-crafted proxy."""
        return self.proxy is not None

    def named(self, name: str) -> "Candidate":
        """Give the same proxy under another name."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Scored:
    """A candidate's scores of all configurations of a bench.

    Attributes:
        scores: (n,), higher predicts higher accuracy; None if the table is not usable.
        statistics_seconds: What the statistics it names took to collect.
        scoring_seconds: What table and scores took beside that.
        note: Why there are no scores, else empty.
    """

    scores: FloatArray | None
    statistics_seconds: float
    scoring_seconds: float
    note: str


def handcrafted_candidates(names: Sequence[str]) -> list[Candidate]:
    """Give hand-crafted proxies by name.

    Args:
        names: Names, or `all` alone.

    Raises:
        ExpressionError: A name is unknown.
    """
    chosen = list(HANDCRAFTED) if list(names) == ["all"] else list(names)
    proxies = [handcrafted_proxy(name) for name in chosen]
    return [Candidate(proxy.name, proxy.family, proxy.formula, proxy) for proxy in proxies]


def run_candidate(path: Path, primitives: str | None = None) -> Candidate:
    """Give the formula that a run recommends.

    Args:
        path: The run's folder, or a `hall_of_fame.json`.
        primitives: File of the primitive set, if it is one of one's own.

    Raises:
        GpEmqError: There is no hall of fame, or its expression does not parse.
    """
    hall = read_hall_of_fame(path)
    folder = path if path.is_dir() else path.parent
    best = hall.best
    return Candidate(
        folder.name or str(path),
        EVOLVED,
        best.formula,
        expression=best.expression,
        primitive_set=hall_of_fame_language(hall, primitives),
        sign=best.sign,
    )


def expression_candidate(text: str) -> Candidate:
    """Give an expression of the language, or `NAME=EXPRESSION`.

    Raises:
        ExpressionError: It does not parse.
    """
    name, separator, rest = text.partition("=")
    name, expression = (name.strip(), rest) if separator else ("expression", text)
    tree = parse_expression(expression, language())
    return Candidate(
        name,
        EVOLVED,
        to_formula(tree, language()),
        expression=expression,
        primitive_set=language(),
    )


def score(candidate: Candidate, inputs: ProxyInputs, bench: Bench, form: str) -> Scored:
    """Score all configurations of a bench.

    Args:
        candidate: The proxy.
        inputs: What it is computed from; statistics that it names are collected here.
        bench: The bench.
        form: Form of a hand-crafted proxy.
    """
    # A view of its own, so that the seconds of exactly what it asks for can be read off.
    statistics = inputs.statistics.to(torch.float32)
    own = inputs.with_statistics(statistics)
    try:
        statistics.prepare(_needs(candidate, form))
        start = time.perf_counter()
        table = _table(candidate, own, form)
        choices = np.searchsorted(np.asarray(bench.bits), bench.configurations)
        # A table that is not finite is told of below.
        with np.errstate(invalid="ignore"):
            scores = configuration_scores(table - table.mean(axis=1, keepdims=True), choices)
    except GpEmqError as error:
        if has_no_room(error):
            # Not the proxy's fault, and the next one would fare no better.
            raise
        return Scored(None, sum(statistics.seconds.values()), 0.0, str(error))
    seconds = time.perf_counter() - start + sum(own.borrowed.values())
    collected = sum(statistics.seconds.values())
    if not np.isfinite(table).all():
        return Scored(None, collected, seconds, "its table is not finite")
    if not candidate.handcrafted and not candidate.sign:
        training = why_unrankable(bench.oriented[bench.training], "training configurations")
        if training:
            return Scored(None, collected, seconds, f"nothing gives its sign: {training}")
    if not candidate.handcrafted:
        scores = _sign(candidate, scores, bench) * scores
    return Scored(scores, collected, seconds, "")


def _needs(candidate: Candidate, form: str) -> list[str]:
    """Names of the statistics that a candidate is computed from."""
    primitive_set, expression = candidate.primitive_set or language(), candidate.expression
    if candidate.proxy is not None:
        chosen = candidate.proxy.form(form)
        if not isinstance(chosen, str):
            return list(candidate.proxy.needs)
        expression = chosen
    tree = parse_expression(expression, primitive_set)
    return list(needed_statistics(tree, primitive_set))


def _table(candidate: Candidate, inputs: ProxyInputs, form: str) -> FloatArray:
    if candidate.proxy is not None:
        return handcrafted_table(candidate.proxy, inputs, form)
    primitive_set = candidate.primitive_set or language()
    tree = parse_expression(candidate.expression, primitive_set)
    table: FloatArray = Evaluator(primitive_set, inputs.statistics).table(tree).numpy()
    return table


def _sign(candidate: Candidate, scores: FloatArray, bench: Bench) -> int:
    """Orientation of an evolved formula: the run's, or what the training part asks for."""
    if candidate.sign:
        return candidate.sign
    training = bench.training
    return -1 if kendall_tau(scores[training], bench.oriented[training]) < 0 else 1
