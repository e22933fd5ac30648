"""What workers are like: who they are, on how many threads, and when they end."""

import multiprocessing.process
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from farm_jobs import RUNS_OUT, Accidents, Slow, Surroundings

from gp_emq.farm import Farm
from gp_emq.farm._work import MOST_STATES, prepare

OWNER = """
import sys
from pathlib import Path
from farm_jobs import Slow
from gp_emq.farm import Farm

folder = Path(sys.argv[1])
Farm([Slow(folder)], jobs=2, backend="loky").map(range(10_000))
"""

BIRTH = """
import os, signal, sys
from pathlib import Path

blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
Path(os.environ["BIRTHS"], str(os.getpid())).write_text(" ".join(str(int(n)) for n in blocked))
"""
"""What every process of Python does first, as a module of the name sitecustomize."""

MASKED = """
import sys
from pathlib import Path
from farm_jobs import Masks
from gp_emq.farm import Farm

with Farm([Masks(Path(sys.argv[2]))], jobs=2, backend=sys.argv[1]) as farm:
    for _, (blocked, process) in farm.stream(range(20), items_per_task=1):
        print(process, *blocked)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def workers_of(folder: Path) -> list[int]:
    """The processes that have begun to work for `Slow`."""
    return [int(path.name.removeprefix("worker-")) for path in folder.glob("worker-*")]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("backend", [None, "threading"])
class TestThisProcess:
    def test_does_everything_itself(self, backend, tmp_path) -> None:
        with Farm([Accidents(tmp_path)], jobs=2 if backend else 1, backend=backend) as farm:
            assert farm.map([1, 2, 3]) == [(item * item, os.getpid()) for item in (1, 2, 3)]
            assert farm.map([]) == []

    def test_runs_out_of_memory_item_by_item(self, backend, tmp_path) -> None:
        with Farm([Accidents(tmp_path)], jobs=2 if backend else 1, backend=backend) as farm:
            results = [result for result, _ in farm.map([1, RUNS_OUT, 3])]
        assert results == [1, f"{RUNS_OUT}: out of memory", 9]

    def test_computes_on_one_thread_and_leaves_the_setting_as_it_was(self, backend, tmp_path):
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            with Farm([Surroundings(tmp_path)], jobs=2 if backend else 1, backend=backend) as farm:
                assert {result[0] for result, _ in farm.map([1, 2, 3])} == {1}
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)


def test_threads_are_as_many_as_asked_for(tmp_path) -> None:
    with Farm([Surroundings(tmp_path)], jobs=3, backend="threading") as farm:
        assert len({name for (_, _, name), _ in farm.map(range(9))}) == 3


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_every_way_to_run_out_of_memory_is_known(error, tmp_path, monkeypatch) -> None:
    def result(self, item: int) -> int:
        raise error

    monkeypatch.setattr(Accidents, "result", result)
    assert Farm([Accidents(tmp_path)]).map([5]) == [("5: out of memory", 0)]


def test_a_worker_forgets_the_jobs_of_long_ago(tmp_path) -> None:
    folders = [tmp_path / str(number) for number in range(MOST_STATES + 1)]
    for folder in folders:
        folder.mkdir()
    for folder in [*folders, folders[-1], folders[0]]:
        prepare(Accidents(folder))
    assert [len(Accidents(folder).set_ups()) for folder in folders] == [2] + [1] * MOST_STATES


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_no_signal_reaches_a_worker_before_it_has_settled(backend, tmp_path) -> None:
    if backend == "dask":
        pytest.importorskip("distributed")
    here = Path(__file__).parent
    births = tmp_path / "births"
    births.mkdir()
    (tmp_path / "sitecustomize.py").write_text(BIRTH, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(here), str(here.parents[1])])
    found = subprocess.run(
        [sys.executable, "-c", MASKED, backend, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "BIRTHS": str(births)},
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    settled = dict(line.partition(" ")[::2] for line in found.stdout.splitlines())
    assert set(settled.values()) == {""}
    for process in settled:
        born = {int(word) for word in (births / process).read_text().split()}
        assert born >= {signal.SIGINT, signal.SIGTERM}


@pytest.mark.slow
class TestLokyProcesses:
    def test_that_die_with_nothing_to_do_are_replaced(self, tmp_path) -> None:
        with Farm([Accidents(tmp_path)], backend="loky") as farm:
            _, worker = farm.map([1])[0]
            os.kill(worker, signal.SIGTERM)
            wait_until(lambda: not is_running(worker))
            # By then loky knows it, too.
            time.sleep(0.5)
            assert farm.map([2])[0][0] == 4
        left = [thing for thing in multiprocessing.process._children if thing.pid == worker]
        assert left == []

    def test_have_one_thread_and_leave_interruptions_to_others(self, tmp_path) -> None:
        with Farm([Surroundings(tmp_path)], backend="loky") as farm:
            assert farm.map([1])[0][0][:2] == (1, True)

    def test_end_with_the_farm_whatever_they_do(self, tmp_path) -> None:
        with Farm([Slow(tmp_path)], backend="loky") as farm:
            stream = farm.stream(range(1000), items_per_task=1)
            _, (_, worker) = next(stream)
            assert is_running(worker)
        assert not is_running(worker)

    def test_end_soon_after_the_process_that_started_them_was_killed(self, tmp_path) -> None:
        here = Path(__file__).parent
        path = os.pathsep.join([str(here), str(here.parents[1])])
        with subprocess.Popen(
            [sys.executable, "-c", OWNER, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": path},
        ) as owner:
            try:
                wait_until(lambda: len(workers_of(tmp_path)) == 2)
                workers = workers_of(tmp_path)
                assert all(map(is_running, workers))
            finally:
                owner.kill()
        wait_until(lambda: not any(map(is_running, workers)))


@pytest.mark.slow
class TestDaskCluster:
    """A cluster that others started, and go on using."""

    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls):
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            silence_logs=50,
        ) as cluster:  # fmt: skip
            yield cluster

    def test_loses_a_worker_in_mid_run_and_nothing_else(self, cluster, tmp_path) -> None:
        job = Slow(tmp_path)
        killed = []

        def kill_one() -> None:
            wait_until(lambda: len(workers_of(tmp_path)) == 2)
            killed.append(workers_of(tmp_path)[0])
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        with Farm([job], jobs=None, scheduler=cluster.scheduler_address) as farm:
            done = farm.map(range(40))
            killer.join()
            assert [result for result, _ in done] == [number * number for number in range(40)]
            assert len(killed) == 1
            # All that the dead one had been given was done by others.
            assert killed[0] not in {worker for _, worker in done}

    def test_stays_up_when_the_farm_closes(self, cluster, tmp_path) -> None:
        with Farm([Accidents(tmp_path)], jobs=1, scheduler=cluster.scheduler_address) as farm:
            assert len({worker for _, worker in farm.map(range(8))}) == 1
        with Farm([Accidents(tmp_path)], jobs=None, scheduler=cluster.scheduler_address) as farm:
            assert [result for result, _ in farm.map([3, 4])] == [9, 16]
