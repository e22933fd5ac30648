"""The options of ``gp_emq run``, and what they mean."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gp_emq.cli._farm import add_farm_options, farm_settings
from gp_emq.cli._options import add_list, add_number, add_workload
from gp_emq.errors import RunError
from gp_emq.evolution import SELECTION_NAMES
from gp_emq.experiment import FITNESSES, WITHOUT_A_BENCH, Execution, RunConfiguration
from gp_emq.files import literal_calls, refuse_code
from gp_emq.mqbench import list_benches
from gp_emq.options import (
    OptionParser,
    not_negative,
    options_from_file,
    seconds,
    seed,
    share,
)
from gp_emq.outputs import OutputFolder
from gp_emq.store import RunStore

DEFAULT_GENERATIONS = 100
_DEFAULTS = RunConfiguration()
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


def _default(field: str) -> str:
    """Say what a field is where nothing is said, with a bench and without."""
    return f"{getattr(_DEFAULTS, field)}, or {WITHOUT_A_BENCH[field]} where no bench is named"


def read_run(given: Sequence[str]) -> RunSettings:
    """Read the command line of ``gp_emq.run``, over the file of ``--config``.

    Raises:
        GpEmqError: It is wrong, or contradicts the run that it resumes.
    """
    options = _parser().parse_args(
        [*options_from_file(given, switches=("screening", "prioritisation")), *given]
    )
    configuration = _configuration(options)
    return RunSettings(configuration=configuration, execution=_execution(options, configuration))


@cache
def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m gp_emq.run",
        description="Evolve a training-free proxy for mixed-precision quantization on a bench.",
        epilog="A run leaves its store, hall_of_fame.json, logbook.csv and figures/ in its "
        "folder. Ctrl-C stops it after the present generation; --resume continues it to the same "
        "result as if it had never been stopped.",
    )
    _ask_what(parser.add_argument_group("what to search (fixed when a run is resumed)"))
    _ask_how(parser.add_argument_group("how to search (fixed when a run is resumed)"))
    _ask_when(parser.add_argument_group("how long, and with what (changes no result)"))
    _ask_where(parser.add_argument_group("where"))
    _ask_show(parser.add_argument_group("what to show"))
    return parser


def _ask_what(what: argparse._ArgumentGroup) -> None:
    what.add_argument(
        "--bench", metavar="NAME|FILE", nargs="+",
        help="bench that gives the fitness; of several, the mean over all is maximised "
        "(default: those of four kinds of networks, and of three others to --validate-on, with "
        "--primitives {primitives} --fitness {fitness} --max-size {max_size}; --list-benches lists "
        "all)".format(**WITHOUT_A_BENCH),
    )  # fmt: skip
    what.add_argument(
        "--primitives", metavar="NAME|FILE.py",
        help=f"primitive set (default: {_default('primitives')}; --list-primitives lists them)",
    )  # fmt: skip
    what.add_argument(
        "--network", metavar="MODULE:FACTORY",
        help="the network of a bench of one's own, which the bench's file cannot run",
    )  # fmt: skip
    add_workload(what)
    what.add_argument(
        "--weights", metavar="FILE",
        help="the network's weights, for benches that do not bring their own",
    )  # fmt: skip
    what.add_argument("--data", metavar="PATH", nargs="+", help="the network's images, likewise")
    what.add_argument(
        "--seed-proxies", metavar="NAME|EXPRESSION", nargs="+",
        help="expressions, or names of proxies (see gp_emq.rank), that enter the first generation; "
        "all stands for every hand-crafted one that the primitive set can express",
    )  # fmt: skip


def _ask_how(how: argparse._ArgumentGroup) -> None:
    add_number(how, "--pop", f"population size (default: {_DEFAULTS.population})")
    how.add_argument(
        "--fitness", choices=FITNESSES,
        help="tau: Kendall tau over all pairs of configurations; equal-cost: over those of about "
        "the same size, as plans are chosen from; plans: the mean of that and of how good the "
        "configurations are that a formula picks at each size; measured-plans: the mean of that "
        "tau and of what the plans are worth that a formula makes, each of which is quantized and "
        f"measured (default: {_default('fitness')})",
    )  # fmt: skip
    how.add_argument(
        "--selection", choices=SELECTION_NAMES, help="diversity: tournaments that "
        "prompt diversity; emq: the paper's; tournament: plain; random: random "
        f"search (default: {_DEFAULTS.selection})",
    )  # fmt: skip
    how.add_argument(
        "--validate-on", metavar="NAME|FILE", nargs="+",
        help="benches of networks that the search does not see: of the formulas found, the "
        "shortest within one standard error of the best on them is recommended (default, where a "
        "bench is named: the one that is best on the search's own validation configurations)",
    )  # fmt: skip
    how.add_argument(
        "--fit-constants", action="store_const", const=True,
        help="at the end, fit weights and exponents of the shortest formulas that are close to the "
        "best, on the networks of the search; one with constants is recommended where it is better "
        "on the networks of --validate-on by more than twice the paired standard error",
    )  # fmt: skip
    how.add_argument(
        "--spare-plans", action="store_const", const=True,
        help="with measured-plans: measure the benches where plans are cheap first, and a formula "
        "no further than it may still win, taking plans that were not measured to be as good as "
        "the population's best",
    )  # fmt: skip
    add_number(how, "--seed", f"seed of everything random (default: {_DEFAULTS.seed})", kind=seed)
    add_number(
        how, "--bench-samples", "training configurations per fitness (default: all)", metavar="K"
    )
    add_number(
        how, "--max-depth", f"most levels of a tree below its root (default: {_DEFAULTS.max_depth})"
    )
    add_number(how, "--max-size", f"most nodes of a tree (default: {_default('max_size')})")
    add_number(
        how, "--crossover", "share of offspring made by "
        f"crossover, the rest by mutation (default: {_DEFAULTS.crossover})", kind=share,
        metavar="P",
    )  # fmt: skip
    add_number(
        how, "--islands", "parts of the population that breed and select for themselves, so that "
        f"no formula's offspring fill it (default: {_DEFAULTS.islands})", metavar="K",
    )  # fmt: skip
    add_number(
        how, "--migration-every", "generations after which the best two of each island go to the "
        f"next one, in a ring (default: {_DEFAULTS.migration_every})", metavar="GENERATIONS",
    )  # fmt: skip
    how.add_argument(
        "--no-screening", dest="screening", action="store_const", const=False,
        help="compute the fitness of every individual that has one",
    )  # fmt: skip
    how.add_argument(
        "--no-prioritisation", dest="prioritisation", action="store_const", const=False,
        help="draw all operators equally often",
    )  # fmt: skip


def _ask_when(when: argparse._ArgumentGroup) -> None:
    add_number(
        when, "--gens",
        f"generations (default: {DEFAULT_GENERATIONS}, or what a resumed run was to have)",
    )  # fmt: skip
    add_number(
        when, "--time-limit",
        "start no further generation of the search after so long; the random search follows",
        kind=seconds, metavar="SECONDS",
    )  # fmt: skip
    add_farm_options(when)
    add_number(
        when, "--memory",
        "whole tensors that each worker may keep beside the statistics; with less, more is "
        "computed again", Execution.memory, kind=not_negative, metavar="MIB",
    )  # fmt: skip


def _ask_where(where: argparse._ArgumentGroup) -> None:
    where.add_argument(
        "--out", type=OutputFolder(), metavar="FOLDER",
        help="the run's folder (default: runs/ and a name made of the above)",
    )  # fmt: skip
    where.add_argument(
        "--resume", type=Path, metavar="FOLDER",
        help="continue the run in this folder; --gens may ask for more generations than before",
    )  # fmt: skip
    where.add_argument(
        "--config", type=Path, metavar="FILE.toml",
        help="read any of these options from a file; the command line wins",
    )  # fmt: skip


def _ask_show(show: argparse._ArgumentGroup) -> None:
    show.add_argument(
        "--no-random-search", action="store_true",
        help="skip the random search of equal evaluations that the result is compared with",
    )  # fmt: skip
    show.add_argument("--no-figures", action="store_true", help="draw no plots at the end")
    show.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    add_list(show, "--list-primitives", _primitive_sets)
    add_list(show, "--list-benches", list_benches)


def _primitive_sets() -> list[str]:
    sets = (values for values, _ in literal_calls("primitives", "PrimitiveSet"))
    return [f"{name:15} {description}" for name, description in sets]


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
            given = {**WITHOUT_A_BENCH, **given}
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
