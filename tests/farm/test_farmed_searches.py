"""Who did the work changes nothing of a search."""

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pytest

from gp_emq.errors import GpEmqError
from gp_emq.farm import Farm


@dataclass(frozen=True)
class Squares:
    """Squares numbers, and says who did it and how often it was set up."""

    name: str = "squares"

    @property
    def key(self) -> Hashable:
        return self.name

    def set_up(self) -> list[int]:
        return []

    def work(self, state: list[int], items: Sequence[int]) -> list[tuple[int, int, int]]:
        state.append(len(items))
        return [(item * item, os.getpid(), len(state)) for item in items]

    def failed(self, item: int, reason: str) -> tuple[int, int, int]:
        raise GpEmqError(f"{item}: {reason}")


@dataclass(frozen=True)
class Failing(Squares):
    """A job whose work has a mistake in it."""

    def work(self, state: list[int], items: Sequence[int]) -> list[tuple[int, int, int]]:
        raise ZeroDivisionError("one by nought")


def test_results_come_in_the_order_of_the_items() -> None:
    for items in ([], [3], list(range(20, 0, -1))):
        assert [square for square, _, _ in Farm([Squares()]).map(items)] == [i * i for i in items]


def test_one_job_works_in_this_process_and_is_set_up_once() -> None:
    farm = Farm([Squares("once")])
    done = [result for _ in range(3) for result in farm.map([1, 2, 3])]
    assert {worker for _, worker, _ in done} == {os.getpid()}
    assert max(calls for _, _, calls in done) == 3


def test_no_jobs_are_refused() -> None:
    with pytest.raises(GpEmqError, match=r"jobs must be at least 1.*got 0"):
        Farm([Squares()], jobs=0)


def test_a_mistake_in_the_work_is_no_secret() -> None:
    with pytest.raises(ZeroDivisionError, match="one by nought"):
        Farm([Failing("failing")]).map([1, 2])
