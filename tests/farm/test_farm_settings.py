"""What is chosen where nothing is said, and what is refused."""

import sys

import pytest

from gp_emq.errors import GpEmqError
from gp_emq.farm import Farm, FarmSettings
from gp_emq.farm._settings import LARGE, MOST_AUTOMATIC_JOBS

GPUS = ("cuda:0", "cuda:1")


@pytest.fixture(autouse=True)
def _six_cores(monkeypatch) -> None:
    monkeypatch.setattr("gp_emq.farm._settings.cpu_count", lambda: 6)


@pytest.mark.parametrize(
    ("given", "elements", "chosen"),
    [
        ({}, LARGE - 1, (None, 1)),
        ({}, LARGE, ("loky", 6)),
        ({"jobs": 1}, LARGE, (None, 1)),
        ({"jobs": 3}, 10, ("loky", 3)),
        ({"devices": GPUS[:1]}, LARGE, (None, 1)),
        ({"devices": GPUS}, 10, ("loky", 2)),
        ({"devices": GPUS, "jobs": 4}, 10, ("loky", 4)),
        ({"backend": "loky"}, 10, ("loky", 6)),
        ({"backend": "loky", "jobs": 1}, 10, ("loky", 1)),
        ({"backend": "threading", "jobs": 2}, LARGE, ("threading", 2)),
        ({"backend": "dask"}, 10, ("dask", 6)),
        ({"backend": "dask", "scheduler": "tcp://far:8786"}, 10, ("dask", None)),
        ({"scheduler": "tcp://far:8786"}, 10, ("dask", None)),
        ({"scheduler": "tcp://far:8786", "jobs": 3}, 10, ("dask", 3)),
        ({"scheduler": "ray://far:10001"}, 10, ("ray", None)),
        ({"scheduler": "far:6379", "backend": "ray"}, 10, ("ray", None)),
    ],
)
def test_what_is_chosen(given, elements, chosen) -> None:
    assert FarmSettings(**given).chosen(elements) == chosen


def test_nobody_gets_a_crowd_of_workers_without_asking(monkeypatch) -> None:
    monkeypatch.setattr("gp_emq.farm._settings.cpu_count", lambda: 128)
    assert FarmSettings().chosen(LARGE) == ("loky", MOST_AUTOMATIC_JOBS)
    assert FarmSettings(backend="loky").chosen(LARGE) == ("loky", 128)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"jobs": 0}, "jobs must be at least 1, got 0"),
        ({"backend": "mpi"}, "unknown back end 'mpi'; available are threading, loky, dask, ray"),
        ({"backend": "loky", "scheduler": "tcp://far:1"}, "loky has no scheduler"),
        ({"backend": "threading", "scheduler": "tcp://far:1"}, "threading has no scheduler"),
        ({"task_timeout": 0.0}, "the task timeout must be positive, got 0"),
        ({"task_timeout": float("nan")}, "the task timeout must be positive, got nan"),
    ],
)
def test_what_makes_no_sense_is_refused(given, complaint) -> None:
    with pytest.raises(GpEmqError, match=complaint):
        FarmSettings(**given)


@pytest.mark.parametrize(("backend", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_package_is_named_with_what_installs_it(backend, module, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with (
        Farm([], jobs=2, backend=backend) as farm,
        pytest.raises(GpEmqError, match=rf"not installed .*{module}.* gp_emq\[{backend}\]"),
    ):
        farm.map([1])


def test_a_dask_scheduler_that_does_not_answer_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr("gp_emq.farm._dask.CONNECT", 0.5)
    with (
        Farm([], jobs=None, scheduler="tcp://127.0.0.1:1") as farm,
        pytest.raises(GpEmqError, match=r"no dask scheduler answers at 'tcp://127.0.0.1:1'"),
    ):
        farm.map([1])


def test_an_address_that_is_none_is_an_error() -> None:
    with (
        Farm([], jobs=None, scheduler="what://is:this") as farm,
        pytest.raises(GpEmqError, match="no dask scheduler answers at 'what://is:this'"),
    ):
        farm.map([1])
