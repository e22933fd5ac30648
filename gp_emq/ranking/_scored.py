"""A proxy's scores of all configurations of a bench, and what they took."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gp_emq.correlation import kendall_tau, why_unrankable
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import Bench
from gp_emq.outputs import has_no_room
from gp_emq.proxies import PlanProxy, Proxy, ProxyInputs, configuration_scores

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """A proxy's scores of all configurations of a bench.

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


def score(proxy: Proxy, inputs: ProxyInputs, bench: Bench) -> Scored:
    """Score all configurations of a bench.

    Args:
        proxy: The proxy.
        inputs: What it is computed from; statistics that it names are collected here.
        bench: The bench; its training configurations orient a proxy that has no sign.
    """
    # A view of its own, so that the seconds of exactly what it asks for can be read off.
    statistics = inputs.statistics.to(torch.float32)
    own = inputs.with_statistics(statistics)
    try:
        statistics.prepare(proxy.needs)
        start = time.perf_counter()
        scores, summed = _scores(proxy, own, bench)
    except GpEmqError as error:
        if has_no_room(error):
            # Not the proxy's fault, and the next one would fare no better.
            raise
        return Scored(None, sum(statistics.seconds.values()), 0.0, str(error))
    seconds = time.perf_counter() - start + sum(own.borrowed.values())
    collected = sum(statistics.seconds.values())
    if not np.isfinite(summed).all():
        return Scored(None, collected, seconds, "its table is not finite")
    if not proxy.sign:
        training, accuracies = scores[bench.training], bench.oriented[bench.training]
        reason = why_unrankable(accuracies, "training configurations")
        if reason:
            return Scored(None, collected, seconds, f"nothing gives its sign: {reason}")
        scores = -scores if kendall_tau(training, accuracies) < 0 else scores
    return Scored(scores, collected, seconds, "")


def _scores(proxy: Proxy, inputs: ProxyInputs, bench: Bench) -> tuple[FloatArray, FloatArray]:
    """Score all configurations, and give what has to be finite: a table where there is one."""
    if isinstance(proxy, PlanProxy):
        scores = proxy.scores(inputs, bench.configurations)
        return scores, scores
    table = np.asarray(proxy.table(inputs))
    choices = np.searchsorted(np.asarray(bench.bits), bench.configurations)
    # A table that is not finite is told of by the caller.
    with np.errstate(invalid="ignore"):
        return configuration_scores(table - table.mean(axis=1, keepdims=True), choices), table
