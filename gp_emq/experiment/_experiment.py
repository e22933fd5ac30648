"""A run from beginning to end: search, random search, summary, plots."""

import contextlib
import platform
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from gp_emq.command import resumption
from gp_emq.errors import RunError
from gp_emq.experiment._choosing import choose
from gp_emq.experiment._configuration import OWN_OBJECTIVE, Execution, RunConfiguration
from gp_emq.experiment._found import Formula, Result
from gp_emq.experiment._interruption import Interruption
from gp_emq.experiment._parts import make_search, open_store, tabulation
from gp_emq.experiment._phases import INTERRUPTED, RANDOM_SEARCH, evolve, search_at_random
from gp_emq.experiment._plans import plan_bar
from gp_emq.experiment._setting import Setting, load_setting
from gp_emq.experiment._spared import spared_of
from gp_emq.experiment._summary import hall_of_fame, summarise
from gp_emq.experiment._validation import ValidationNetworks
from gp_emq.files import is_code
from gp_emq.objectives import bench_sha256
from gp_emq.statistics import Statistics
from gp_emq.store import STORE_NAME, RunStore, bench_key, write_hall_of_fame, write_logbook


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
    return carry_out(load_setting(configuration), execution)


def carry_out(setting: Setting, execution: Execution) -> Result:
    """Start a run of a setting, or take up one that was stopped at any moment; see `run`."""
    configuration = setting.configuration
    with (
        resumption(lambda: how_to_resume(execution.folder, configuration)),
        _folder_of_run(execution.folder),
        plan_bar(configuration, quiet=execution.quiet) as bar,
    ):
        validation = (
            ValidationNetworks.load(configuration, setting.benches, bar.update)
            if configuration.validate_on
            else None
        )
        networks = setting.collect(execution.farm, quiet=execution.quiet)
        setting = setting.measured_on(networks, bar.update)
        with open_store(execution.folder, setting, configuration.selection, networks) as store:
            _check_benches(store, setting)
            _check_statistics(store, setting.statistics_sha256(networks))
            # Not part of what defines the run, but what resuming it aims at unless told otherwise.
            store.set_meta("generations", execution.generations)
            return _search(setting, execution, store, networks, validation)


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
        given = [
            (name, getattr(configuration, name)) for name in ("primitives", "network", "workload")
        ]
        if configuration.bench.startswith(OWN_OBJECTIVE):
            return f"everything is kept. The same search with out={place} goes on"
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


def _check_benches(store: RunStore, setting: Setting) -> None:
    if not setting.benches:
        aims = list(setting.objective.networks)
        if store.meta_as("objective", list[str]) != aims:
            raise RunError(
                f"the run {store.folder} was searched for another objective; "
                "start a new run instead"
            )
    for place, bench in enumerate(setting.benches):
        stored = store.meta_as(bench_key("bench", place), dict[str, Any])
        if stored.get("sha256") != bench_sha256(bench):
            raise RunError(
                f"the run {store.folder} was searched on another bench {bench.name!r}: its "
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


def _search(
    setting: Setting,
    execution: Execution,
    store: RunStore,
    networks: tuple[Statistics, ...],
    validation: ValidationNetworks | None,
) -> Result:
    folder, selection = execution.folder, setting.configuration.selection
    with (
        Interruption() as interruption,
        tabulation(setting, networks, execution.farm, execution.memory) as evaluate,
    ):
        search = make_search(setting, evaluate, selection)
        validated = setting.is_validated
        reason = evolve(search, store, execution, interruption, validated=validated)
        choice = choose(search, setting, validation, evaluate, interruption, quiet=execution.quiet)
        found = hall_of_fame(search, setting, store.meta_as("statistics_sha256", str), choice.best)
        write_hall_of_fame(folder / "hall_of_fame.json", found)
        formulas = tuple(Formula.of(member, setting.primitive_set) for member in found.members)
        spared = spared_of(store) if setting.configuration.spare_plans else None
        by_generation = None if spared is None else spared.formulas
        write_logbook(folder / "logbook.csv", store.generations(), by_generation)
        random_search = None
        if execution.random_search and selection != "random" and not interruption.requested:
            random_search = make_search(setting, evaluate, "random")
            with open_store(folder / RANDOM_SEARCH, setting, "random", networks) as random_store:
                search_at_random(
                    random_search,
                    random_store,
                    search.evaluations,
                    interruption,
                    quiet=execution.quiet,
                    validated=validated,
                )
        if interruption.requested:
            return Result(folder, False, search.generation, None, INTERRUPTED, formulas)
    summary = summarise(search, random_search, setting, networks, choice)
    if spared is not None:
        summary["spared"] = spared.to_json()
    store.set_meta("summary", summary)
    return Result(folder, True, search.generation, summary, reason, formulas)
