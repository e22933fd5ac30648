"""A run from beginning to end: search, random search, summary, plots."""

import contextlib
import platform
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from gp_emq.command import resumption
from gp_emq.errors import RunError
from gp_emq.evolution import Search
from gp_emq.experiment._configuration import Execution, RunConfiguration
from gp_emq.experiment._interruption import Interruption
from gp_emq.experiment._phases import (
    RANDOM_SEARCH,
    advance,
    make_farm,
    make_search,
    open_store,
    random_configuration,
)
from gp_emq.experiment._progress import Progress
from gp_emq.experiment._setting import Setting, load_setting
from gp_emq.experiment._summary import hall_of_fame, summarise
from gp_emq.files import is_code
from gp_emq.statistics import Statistics
from gp_emq.store import STORE_NAME, GenerationRow, RunStore, write_hall_of_fame, write_logbook


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Args:
        folder: Where it lies.
        completed: False if it was interrupted and can be resumed.
        generations: Completed generations, the initial population not counted.
        summary: What was found; None if it was interrupted.
        reason: Why the search stopped, in words.
    """

    folder: Path
    completed: bool
    generations: int
    summary: dict[str, Any] | None
    reason: str


def run(configuration: RunConfiguration, execution: Execution) -> Result:
    """Start a run, or take up one that was stopped at any moment.

    Args:
        configuration: What the result depends on; of a run to be resumed, its own.
        execution: How to carry it out.

    Returns:
        How it ended.

    Raises:
        GpEmqError: Something asked for does not exist, does not fit, or cannot be written.
    """
    setting = load_setting(configuration)
    with (
        resumption(lambda: how_to_resume(execution.folder, configuration)),
        _folder_of_run(execution.folder),
    ):
        statistics = setting.collect(execution.farm, quiet=execution.quiet)
        sha256 = statistics.content_sha256(setting.statistic_names)
        with open_store(execution.folder, setting, configuration) as store:
            _check_bench(store, setting)
            _check_statistics(store, sha256)
            # Not part of what defines the run, but what resuming it aims at unless told otherwise.
            store.set_meta("generations", execution.generations)
            return _carry_out(setting, execution, store, statistics, sha256)


@contextlib.contextmanager
def _folder_of_run(folder: Path) -> Iterator[None]:
    """Make a run's folder, so that one that cannot be written fails before anything is computed.

    What was made is taken away again if the run fails before its first generation is complete.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    is_new = not (folder / STORE_NAME).exists()
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise RunError(f"cannot write to the folder {folder}: {error.strerror}") from error
        yield
    except BaseException:
        if is_new and not _has_generation(folder):
            with contextlib.suppress(OSError):
                (folder / STORE_NAME).unlink(missing_ok=True)
                for path in made:
                    path.rmdir()
        raise


def how_to_resume(folder: Path, configuration: RunConfiguration) -> str:
    """Say what is kept of a run that was stopped, and how to go on; no full stop.

    Args:
        folder: Of the run.
        configuration: What it was started with; code of the user's own has to be named again,
            since no file may name what runs.
    """
    if _has_generation(folder):
        place = shlex.quote(str(folder))
        given = [(name, getattr(configuration, name)) for name in ("primitives", "network")]
        own = "".join(
            f" --{name} {shlex.quote(code)}" for name, code in given if code and is_code(code)
        )
        return f"everything is kept. Resume with: python -m gp_emq.run --resume {place}{own}"
    return (
        "no generation was complete; statistics that were collected are kept, and the same "
        "command begins anew with them"
    )


def _has_generation(folder: Path) -> bool:
    try:
        with RunStore.open(folder, readonly=True) as store:
            return store.last_generation() is not None
    except RunError:
        return False


def _check_bench(store: RunStore, setting: Setting) -> None:
    if store.meta_as("bench", dict[str, Any]).get("sha256") != setting.bench_sha256:
        raise RunError(
            f"the run {store.folder} was searched on another bench {setting.bench.name!r}: its "
            "configurations, accuracies or split have changed; start a new run instead"
        )


def _check_statistics(store: RunStore, sha256: str) -> None:
    if "statistics_sha256" not in store.meta_keys():
        store.set_meta("statistics_sha256", sha256)
        store.set_meta("versions", _versions())
    elif (found := store.meta_as("statistics_sha256", str)) != sha256:
        raise RunError(
            f"the run {store.folder} was searched on other statistics "
            f"({found[:12]}…, here {sha256[:12]}…): its weights, images "
            "or kind of machine differ; start a new run instead"
        )


def _versions() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("deap", "torch", "numpy", "scipy")}
    return {"python": platform.python_version(), **packages}


def _carry_out(
    setting: Setting,
    execution: Execution,
    store: RunStore,
    statistics: Statistics,
    sha256: str,
) -> Result:
    configuration = setting.configuration
    with (
        Interruption() as interruption,
        make_farm(setting, statistics, execution.farm, execution.memory) as farm,
    ):
        search = make_search(setting, farm, selection=configuration.selection)
        reason = _evolve(search, setting, store, execution, interruption)
        write_hall_of_fame(
            execution.folder / "hall_of_fame.json", hall_of_fame(search, setting, sha256)
        )
        write_logbook(execution.folder / "logbook.csv", store.generations())
        if interruption.requested:
            return Result(execution.folder, False, search.generation, None, reason)
        random_search = None
        if execution.random_search and configuration.selection != "random":
            random_search = make_search(setting, farm, selection="random")
            _search_at_random(random_search, search.evaluations, setting, execution, interruption)
            if interruption.requested:
                return Result(
                    execution.folder, False, search.generation, None, "interrupted by Ctrl-C"
                )
    summary = summarise(search, random_search, setting, statistics)
    store.set_meta("summary", summary)
    return Result(execution.folder, True, search.generation, summary, reason)


def _evolve(
    search: Search,
    setting: Setting,
    store: RunStore,
    execution: Execution,
    interruption: Interruption,
) -> str:
    """Run the search's own phase, and say why it stopped."""
    start = time.monotonic()
    last = store.last_generation()
    progress = Progress(
        "evolving",
        execution.generations,
        done=last.generation if last else 0,
        quiet=execution.quiet,
        validated=setting.is_validated,
    )
    reason = f"{execution.generations} generations completed"

    def stop(search: Search) -> bool:
        nonlocal reason
        if search.generation < 0:
            return False
        if interruption.requested:
            reason = "interrupted by Ctrl-C"
        elif search.generation >= execution.generations:
            pass
        elif execution.time_limit is not None and time.monotonic() - start > execution.time_limit:
            reason = f"time limit of {execution.time_limit:g} s reached"
        else:
            return False
        return True

    def report(row: GenerationRow, before: GenerationRow | None) -> None:
        progress.generation(row, before=before)

    _advanced(search, store, stop, report, progress)
    return reason


def _search_at_random(
    search: Search,
    evaluations: int,
    setting: Setting,
    execution: Execution,
    interruption: Interruption,
) -> None:
    """Run the random search until it has evaluated exactly as many."""
    configuration = random_configuration(setting.configuration)
    with open_store(execution.folder / RANDOM_SEARCH, setting, configuration) as store:
        last = store.last_generation()
        progress = Progress(
            "random search of equal evaluations",
            evaluations,
            done=last.evaluations if last else 0,
            quiet=execution.quiet,
            unit="eval",
            validated=setting.is_validated,
        )

        def stop(search: Search) -> bool:
            return (
                interruption.requested or search.evaluations >= evaluations or search.is_exhausted
            )

        def report(row: GenerationRow, before: GenerationRow | None) -> None:  # noqa: ARG001
            progress.evaluations(row)

        _advanced(search, store, stop, report, progress, most=lambda s: evaluations - s.evaluations)


def _advanced(
    search: Search,
    store: RunStore,
    stop: Callable[[Search], bool],
    report: Callable[[GenerationRow, GenerationRow | None], None],
    progress: Progress,
    *,
    most: Callable[[Search], int | None] = lambda search: None,  # noqa: ARG005
) -> None:
    try:
        advance(search, store, stop=stop, most=most, report=report)
    finally:
        progress.close()
