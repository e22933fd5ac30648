"""The ray back end with a stand-in for ray; `test_lost_work` has the real one, if installed."""

import sys
import types
from concurrent.futures import Future

import pytest
from farm_jobs import DIES, IS_A_BUG, Accidents

from gp_emq.errors import GpEmqError
from gp_emq.farm import Farm


class RayError(Exception):
    pass


class ActorDiedError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__("a long report")
        self.cause = cause


class Call:
    """What `handle.method.remote(...)` is."""

    def __init__(self, method) -> None:
        self.method = method

    def remote(self, function, arguments):
        self.outcome: Future = Future()
        if len(arguments) > 1 and DIES in arguments[1]:
            self.outcome.set_exception(ActorDiedError("gone"))
            return self
        try:
            self.outcome.set_result(self.method(function, arguments))
        except Exception as error:  # noqa: BLE001 - as ray does
            self.outcome.set_exception(RayTaskError(error))
        return self

    def future(self) -> Future:
        return self.outcome


@pytest.fixture
def ray(monkeypatch):
    """A module with as much of ray as is used."""
    ray = types.ModuleType("ray")
    ray.exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    ray.told, ray.killed = [], []
    ray.is_initialized = lambda: False
    ray.init = lambda **options: ray.told.append(options)
    ray.shutdown = lambda: ray.told.append("shutdown")
    ray.cluster_resources = lambda: {"CPU": 3.0}
    ray.kill = lambda handle, no_restart: ray.killed.append(handle)

    def remote(**options):
        assert options["max_restarts"] == options["max_task_retries"] == 0

        def made(cls):
            def start():
                host = object.__new__(cls)  # this process keeps its own way with Ctrl-C
                return types.SimpleNamespace(call=Call(host.call))

            return types.SimpleNamespace(remote=start)

        return made

    ray.remote = remote
    monkeypatch.setitem(sys.modules, "ray", ray)
    return ray


def results(farm: Farm, items: list) -> list:
    return [result for result, _ in farm.map(items)]


def test_a_cluster_is_started_and_stopped(ray, tmp_path) -> None:
    with Farm([Accidents(tmp_path)], jobs=2, backend="ray") as farm:
        assert results(farm, [1, 2, 3]) == [1, 4, 9]
    started, stopped = ray.told
    assert (started["address"], started["num_cpus"], stopped) == ("local", 2, "shutdown")
    assert started["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "1"


def test_all_processors_of_a_cluster_at_an_address_are_used(ray, tmp_path) -> None:
    with Farm([Accidents(tmp_path)], jobs=None, scheduler="ray://far:10001") as farm:
        assert results(farm, [1, 2, 3, 4]) == [1, 4, 9, 16]
        assert len(farm._opened()[0].workers()) == 3
    assert ray.told[0]["address"] == "ray://far:10001"


def test_a_cluster_in_use_is_left_as_it_is(ray, tmp_path) -> None:
    ray.is_initialized = lambda: True
    with Farm([Accidents(tmp_path)], jobs=2, backend="ray") as farm:
        assert results(farm, [5]) == [25]
    assert ray.told == []


def test_dead_actors_are_replaced_and_mistakes_unwrapped(ray, tmp_path) -> None:
    with Farm([Accidents(tmp_path)], jobs=2, backend="ray") as farm:
        assert results(farm, [1, DIES, 3]) == [1, f"{DIES}: worker died", 9]
        assert ray.killed
        with pytest.raises(ZeroDivisionError, match="one by nought"):
            results(farm, [IS_A_BUG])


def test_an_address_where_nobody_answers_is_an_error(ray, tmp_path) -> None:
    def refuse(**options) -> None:
        raise ConnectionError("no")

    ray.init = refuse
    with (
        Farm([Accidents(tmp_path)], backend="ray", scheduler="far:6379") as farm,
        pytest.raises(GpEmqError, match=r"no ray cluster answers at 'far:6379'.*ray start --head"),
    ):
        farm.map([1])
