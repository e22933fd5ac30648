"""The dispatcher with workers that do as they are told, without processes."""

from concurrent.futures import Future

import pytest
from farm_jobs import DIES, Accidents

from gp_emq.errors import GpEmqError
from gp_emq.farm import _dispatch
from gp_emq.farm._backends import WorkerDiedError
from gp_emq.farm._dispatch import Dispatcher
from gp_emq.farm._recovery import cut


class Scripted:
    """A worker that dies of some words, and notes what it did."""

    def __init__(self, number: int, deadly: set) -> None:
        self.number, self.deadly, self.ended, self.jobs = number, deadly, 0, []

    def submit(self, function, job, *arguments) -> Future:
        future: Future = Future()
        self.jobs.append(job)
        if arguments and self.deadly & set(arguments[0]):
            future.set_exception(WorkerDiedError("as told"))
        else:
            future.set_result(function(job, *arguments))
        return future

    def end(self) -> None:
        self.ended += 1


class Crew:
    ends_workers, poll = True, 0.001

    def __init__(self, *workers: Scripted) -> None:
        self.crew = workers

    def workers(self):
        return self.crew

    def close(self) -> None:
        """There is nothing to close."""


def results(variants, crew: Crew, items: list) -> list:
    tasks = Dispatcher(variants, crew, 10.0).run(items, cut(range(len(items)), 2))
    found = {place: result for task, done in tasks
             for place, (result, _) in zip(task.places, done, strict=True)}  # fmt: skip
    return [found[place] for place in range(len(items))]


def test_workers_take_turns_among_the_devices(tmp_path) -> None:
    first, second = Accidents(tmp_path), Accidents(tmp_path / "..")
    crew = Crew(*(Scripted(number, set()) for number in range(4)))
    assert results([first, second], crew, [1, 2, 3]) == [1, 4, 9]
    assert {job for worker in crew.crew[::2] for job in worker.jobs} <= {first}
    assert {job for worker in crew.crew[1::2] for job in worker.jobs} <= {second}


def test_what_one_worker_dies_of_another_may_survive(tmp_path) -> None:
    weak, strong = Scripted(0, {DIES, 1}), Scripted(1, set())
    assert results([Accidents(tmp_path)], Crew(weak, strong), [1, 2, 3, 4]) == [1, 4, 9, 16]
    assert weak.ended > 0
    assert strong.ended == 0


def test_workers_that_die_of_everything_end_it(tmp_path) -> None:
    crew = Crew(Scripted(0, set(range(99))), Scripted(1, set(range(99))))
    with pytest.raises(GpEmqError, match=r"20 tasks in a row were lost, the latest.*worker died"):
        results([Accidents(tmp_path)], crew, list(range(99)))


def test_a_cluster_without_workers_is_waited_for_but_not_forever(tmp_path, monkeypatch) -> None:
    crew = Crew()
    monkeypatch.setattr(_dispatch, "ABSENCE_LIMIT", 0.05)
    with pytest.raises(GpEmqError, match="the cluster has had no worker"):
        results([Accidents(tmp_path)], crew, [1])
    late = Scripted(0, set())
    monkeypatch.setattr(_dispatch, "ABSENCE_LIMIT", 60.0)
    monkeypatch.setattr("time.sleep", lambda seconds: setattr(crew, "crew", (late,)))
    assert results([Accidents(tmp_path)], crew, [3]) == [9]
