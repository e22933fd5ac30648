"""What the options of ``gp_emq run`` mean."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gp_emq.cli._farm import farm_settings
from gp_emq.cli._run_parser import DEFAULT_GENERATIONS, run_parser
from gp_emq.errors import RunError
from gp_emq.experiment import WITHOUT_A_BENCH, Execution, RunConfiguration
from gp_emq.files import refuse_code
from gp_emq.options import options_from_file
from gp_emq.store import RunStore

_FIXED = {
    "bench": "bench", "primitives": "primitives", "selection": "selection", "pop": "population",
    "fitness": "fitness",
    "validate_on": "validate_on",
    "seed": "seed", "bench_samples": "bench_samples", "max_depth": "max_depth",
    "max_size": "max_size", "crossover": "crossover", "screening": "screening",
    "prioritisation": "prioritisation", "weights": "weights", "data": "data",
    "network": "network",
    "workload": "workload",
    "seed_proxies": "seed_proxies",
    "islands": "islands", "migration_every": "migration_every",
    "fit_constants": "fit_constants", "spare_plans": "spare_plans",
}  # fmt: skip
"""Flags that define the result, by the field of `RunConfiguration` they set."""
_LONGEST_NAME = 100
"""Of several benches in the name of a folder."""
_OF_ONE_BENCH = ("network", "workload", "weights", "data")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What the command line asks for.

    Args:
        configuration: What defines the result.
        execution: How it is carried out.
    """

    configuration: RunConfiguration
    execution: Execution


def read_run(given: Sequence[str]) -> RunSettings:
    """Read the command line of ``gp_emq.run``, over the file of ``--config``.

    Raises:
        GpEmqError: It is wrong, or contradicts the run that it resumes.
    """
    options = run_parser().parse_args(
        [*options_from_file(given, switches=("screening", "prioritisation")), *given]
    )
    configuration = _configuration(options)
    return RunSettings(configuration=configuration, execution=_execution(options, configuration))


def _configuration(options: argparse.Namespace) -> RunConfiguration:
    given: dict[str, Any] = {
        field: tuple(value) if isinstance(value, list) else value
        for name, field in _FIXED.items()
        if (value := getattr(options, name)) is not None
    }
    for name in ("primitives", "weights"):
        if name in given:
            given[name] = _found(given[name])
    if "bench" in given:
        given["bench"], *more = map(_found, given["bench"])
        given["more_benches"] = tuple(more)
    if "validate_on" in given:
        given["validate_on"] = tuple(map(_found, given["validate_on"]))
    if "data" in given:
        given["data"] = tuple(map(_resolved, given["data"]))
    if options.resume is None:
        if given.keys().isdisjoint(("bench", *_OF_ONE_BENCH)):
            usual = dict(WITHOUT_A_BENCH)
            if "primitives" in given:  # trees of another set may need their size
                del usual["max_size"]
            given = {**usual, **given}
        return RunConfiguration(**given)
    with RunStore.open(options.resume, readonly=True) as store:
        stored = RunConfiguration.from_json(store.meta("config"))
    for name in ("primitives", "network", "workload"):
        if name not in given and (named := getattr(stored, name)) is not None:
            refuse_code(named, RunError, f"the run {options.resume} names the {name}", f"--{name}")
    for name, value in given.items():
        if getattr(stored, name) != value:
            raise RunError(
                f"the run {options.resume} has {name} {getattr(stored, name)!r}, which resuming "
                f"cannot change to {value!r}; leave it out or start a new run"
            )
    return stored


def _found(name: str) -> str:
    """Give the whole path of a file that is there, and a name as it is."""
    try:
        return str(Path(name).resolve()) if Path(name).is_file() else name
    except (OSError, ValueError):  # a name too long for one, or with a NUL in it
        return name


def _resolved(name: str) -> str:
    try:
        return str(Path(name).resolve())
    except (OSError, ValueError):  # as above: whoever looks for it says that it is not there
        return name


def _execution(options: argparse.Namespace, configuration: RunConfiguration) -> Execution:
    if options.resume is not None and options.out is not None:
        raise RunError("--resume continues a run where it lies; leave --out away")
    folder = options.resume or options.out or _free_folder(configuration)
    if options.resume is None and (folder / "store.sqlite").exists():
        raise RunError(f"{folder} holds a run already; --resume {folder} continues it")
    return Execution(
        folder=folder,
        generations=options.gens or _generations_of(options.resume),
        farm=farm_settings(options),
        memory=options.memory,
        time_limit=options.time_limit,
        random_search=not options.no_random_search,
        figures=not options.no_figures,
        quiet=options.quiet,
    )


def _generations_of(resumed: Path | None) -> int:
    """Give how many generations a run has unless the command line says so."""
    if resumed is None:
        return DEFAULT_GENERATIONS
    with RunStore.open(resumed, readonly=True) as store:
        known = "generations" in store.meta_keys()
        return store.meta_as("generations", int) if known else DEFAULT_GENERATIONS


def _named(benches: Sequence[str]) -> str:
    """Name benches in a folder's name."""
    if benches == (WITHOUT_A_BENCH["bench"], *WITHOUT_A_BENCH["more_benches"]):
        return "networks"
    return "+".join(Path(bench).stem for bench in benches)[:_LONGEST_NAME]


def _free_folder(configuration: RunConfiguration) -> Path:
    """Give the first folder below runs/ of the run's name that no run has taken."""
    name = "-".join(
        (
            _named(configuration.benches),
            Path(configuration.primitives).stem,
            configuration.selection,
            *(() if configuration.fitness == "tau" else (configuration.fitness,)),
            *(() if configuration.islands == 1 else (f"islands{configuration.islands}",)),
            f"seed{configuration.seed}",
        )
    )
    count = 1
    while (folder := Path("runs") / (name if count == 1 else f"{name}-{count}")).exists():
        count += 1
    return folder
