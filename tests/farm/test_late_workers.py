"""A worker that is stopped, or hangs, while it gets ready costs one time limit and says so."""

import time

import pytest
from farm_jobs import Stalls

from gp_emq.errors import GpEmqError
from gp_emq.farm import Farm, _dispatch

LIMIT, LIMIT_OF_THREADS = 3.0, 0.5
NUMBERS = list(range(5))
SQUARES = [number * number for number in NUMBERS]


@pytest.mark.parametrize(
    ("backend", "how"),
    [
        ("threading", "hangs"),
        pytest.param("loky", "hangs", marks=pytest.mark.slow),
        pytest.param("loky", "stops", marks=pytest.mark.slow),
        pytest.param("dask", "stops", marks=pytest.mark.slow),
    ],
)
def test_the_others_go_on_and_a_line_says_so(backend, how, tmp_path, capfd) -> None:
    limit = LIMIT_OF_THREADS if backend == "threading" else LIMIT
    if backend == "dask":
        pytest.importorskip("distributed")
    start = time.monotonic()
    with Farm([Stalls(tmp_path, how)], jobs=1, backend=backend, task_timeout=limit) as farm:
        assert [result for result, _ in farm.map(NUMBERS)] == SQUARES
    assert limit <= time.monotonic() - start < 90.0
    # On a busy machine the next worker may be late as well.
    first, *later = capfd.readouterr().err.splitlines()
    assert first == f"worker 0 was not ready after {limit:g} s; another takes its place"
    assert all("was not ready after" in line for line in later)


def test_who_is_never_ready_is_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_dispatch, "LATE_SET_UPS", 2)
    job = Stalls(tmp_path, "always hangs")
    with (
        Farm([job], jobs=1, backend="threading", task_timeout=0.1) as farm,
        pytest.raises(GpEmqError, match=r"no worker gets ready: each was ended 2 times.* 0\.2 s"),
    ):
        farm.map(NUMBERS)


def test_a_thread_that_hangs_costs_its_item(tmp_path, monkeypatch) -> None:
    from farm_jobs import HANGS, Accidents

    monkeypatch.setattr("gp_emq.farm._recovery.ATTEMPTS", 2)
    with Farm([Accidents(tmp_path)], jobs=2, backend="threading", task_timeout=0.2) as farm:
        results = [result for result, _ in farm.map([1, HANGS, 2])]
    assert results == [1, f"{HANGS}: timed out", 4]
