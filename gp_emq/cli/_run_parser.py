"""The parser of the command line of ``gp_emq run``."""

import argparse
from functools import cache
from pathlib import Path

from gp_emq.cli._farm import add_farm_options
from gp_emq.cli._options import add_list, add_number, add_workload
from gp_emq.evolution import SELECTION_NAMES
from gp_emq.experiment import FITNESSES, WITHOUT_A_BENCH, Execution, RunConfiguration
from gp_emq.files import literal_calls
from gp_emq.mqbench import list_benches
from gp_emq.options import OptionParser, not_negative, seconds, seed, share
from gp_emq.outputs import OutputFolder

DEFAULT_GENERATIONS = 100
_DEFAULTS = RunConfiguration()


def _default(field: str) -> str:
    """Say what a field is where nothing is said, with a bench and without."""
    return f"{getattr(_DEFAULTS, field)}, or {WITHOUT_A_BENCH[field]} where no bench is named"


@cache
def run_parser() -> OptionParser:
    """Make the parser of ``gp_emq run``."""
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
    add_number(
        how,
        "--max-size",
        f"most nodes of a tree (default: {_DEFAULTS.max_size}, or "
        f"{WITHOUT_A_BENCH['max_size']} where neither bench nor set is named)",
    )
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
