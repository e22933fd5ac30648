"""A worker that dies, hangs or runs out of memory costs its tasks only."""

import os
from unittest.mock import ANY

import pytest
from farm_jobs import (
    DIES,
    DIES_ONCE,
    HANGS,
    IS_A_BUG,
    IS_REFUSED,
    RUNS_OUT,
    Accidents,
)

from gp_emq.errors import GpEmqError
from gp_emq.farm import Farm

pytestmark = pytest.mark.slow
NUMBERS = list(range(11))
SQUARES = [number * number for number in NUMBERS]


@pytest.fixture(autouse=True)
def _few_attempts(monkeypatch) -> None:
    """Each worker lost costs a second or more."""
    monkeypatch.setattr("gp_emq.farm._recovery.ATTEMPTS", 2)


@pytest.fixture(scope="module", params=["loky", "dask", "ray"])
def farm(request, tmp_path_factory):
    if request.param == "ray":
        pytest.importorskip("ray")
    job = Accidents(tmp_path_factory.mktemp(request.param))
    with Farm([job], jobs=2, backend=request.param, task_timeout=1.0) as farm:
        farm.job = job
        yield farm


def results(farm: Farm, items: list) -> list:
    return [result for result, _ in farm.map(items)]


def test_two_workers_share_and_are_set_up_once(farm) -> None:
    workers: set[int] = set()
    while len(workers) < 2:
        done = farm.map(NUMBERS)
        assert [result for result, _ in done] == SQUARES
        workers |= {worker for _, worker in done}
    assert os.getpid() not in workers
    assert sorted(farm.job.set_ups()) == sorted(map(str, workers))


def test_what_a_worker_that_dies_was_doing_is_done_by_others(farm) -> None:
    assert results(farm, [*NUMBERS, DIES_ONCE]) == [*SQUARES, f"did {DIES_ONCE}"]
    assert (farm.job.folder / "once").exists()


def test_only_what_kills_workers_again_and_again_fails(farm) -> None:
    assert results(farm, [DIES, 1, 2, 3]) == [f"{DIES}: worker died", 1, 4, 9]


def test_only_what_hangs_fails(farm) -> None:
    assert results(farm, [1, 2, 3, HANGS]) == [1, 4, 9, f"{HANGS}: timed out"]


def test_only_what_has_too_little_memory_fails(farm) -> None:
    assert results(farm, [1, RUNS_OUT, 2]) == [1, f"{RUNS_OUT}: out of memory", 4]


def test_mistakes_are_raised_as_they_are_and_leave_the_farm_usable(farm) -> None:
    with pytest.raises(ZeroDivisionError, match="one by nought"):
        farm.map([1, IS_A_BUG])
    with pytest.raises(GpEmqError, match=r"^not like this$"):
        farm.map([IS_REFUSED, 1])
    assert results(farm, NUMBERS) == SQUARES


def test_results_stream_as_they_come(farm) -> None:
    stream = farm.stream([HANGS, *NUMBERS], items_per_task=1)
    assert min(next(stream) for _ in range(8)) == (1, (0, ANY))
    stream.close()
    assert results(farm, NUMBERS) == SQUARES
