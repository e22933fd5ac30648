"""Sums of terms that are ranked all at once."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks import sums
from gp_emq.correlation import KendallRanker

NAMES = ("plain-digits-rtn-channel", "plain-digits-rtn-tensor", "wide-digits-rtn-channel")


def test_there_are_as_many_sums_as_sets_of_terms() -> None:
    chosen = sums.sums_of(7, 3)
    assert len(chosen) == len(set(chosen)) == sum(math.comb(7, size) for size in (1, 2, 3))
    assert chosen[:2] == [(0,), (1,)]


def test_a_sum_ranks_as_its_terms_added_up_do() -> None:
    generator = np.random.default_rng(0)
    scores, values = generator.random((4, 30)), generator.random(30)
    chosen = sums.sums_of(4, 2)
    found = sums.taus_of_sums(scores, chosen, KendallRanker(values))
    for some, tau in zip(chosen, found, strict=True):
        total = sum(scores[term] for term in some)
        assert tau == pytest.approx(kendalltau(total, values).statistic)


def test_the_best_of_the_search_stand_first_with_what_they_come_to_elsewhere() -> None:
    chosen = sums.sums_of(len(sums.TERMS), 1)
    taus = np.zeros(len(chosen))
    taus[:3] = 0.1, 0.5, 0.3
    found = {NAMES[0]: taus, NAMES[1]: taus + 0.2, NAMES[2]: 1 - taus}
    head, _, *lines = sums.table_of(found, chosen, 2)
    names = list(sums.TERMS)
    assert head == "| sum of | search (2) | validation (1) |"
    assert lines == [
        f"| {names[1]} | 0.600 | 0.500 |", f"| {names[2]} | 0.400 | 0.700 |",
    ]  # fmt: skip


def test_terms_differ() -> None:
    assert all(one != other for one, other in itertools.combinations(sums.TERMS.values(), 2))
