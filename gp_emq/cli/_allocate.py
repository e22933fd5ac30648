"""What ``gp_emq allocate`` is asked: its options as typed settings."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gp_emq.allocation import BASELINES
from gp_emq.cli._allocate_parser import make_parser, widths
from gp_emq.cli._options import settings_of
from gp_emq.errors import AllocationError
from gp_emq.measured import CONTENDERS, MeasureOptions
from gp_emq.options import OptionParser

V = TypeVar("V")

_OF_THE_NETWORK = (
    "network", "workload", "weights", "data", "images", "seed", "proxy", "primitives", "per_tensor",
    "scale_group", "no_cache", "save_table", "measure", "minutes", "calibrate", "interactions",
    "measure_images", "measure_loss", "measure_method", "max_drop",
)  # fmt: skip
"""What a saved table was made by, and what only the network answers."""


@dataclass(frozen=True, kw_only=True)
class AllocateSettings:
    """What the command line asks for: its options, by name, and those of measuring as one."""

    network: str | None
    workload: str | None
    weights: Path | None
    data: tuple[Path, ...]
    images: int
    seed: int
    proxy: tuple[str, ...]
    primitives: str | None
    per_tensor: bool
    scale_group: int | None
    no_cache: bool
    size_mib: float | None
    size_mb: float | None
    size_bytes: int | None
    average_bits: float | None
    bops_g: float | None
    activation_kib: float | None
    cost: tuple[Path, ...]
    cost_budget: tuple[float, ...]
    latency_table: Path | None
    latency: float | None
    accounting: str
    activation_bits: int
    bits: tuple[int, ...] | None
    choices: Mapping[str, tuple[int, ...]]
    fix: Mapping[str, int]
    exclude: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    measuring: MeasureOptions
    sweep: str | None
    from_sweep: Path | None
    pick: int | None
    baselines: tuple[str, ...] | None
    table: Path | None
    save_table: Path | None
    out: Path | None
    csv: Path | None
    torchao: Path | None
    modelopt: Path | None
    no_plot: bool

    @property
    def has_budget(self) -> bool:
        """Whether there is any, beside the ends of a sweep."""
        own = (
            self.size_mib, self.size_mb, self.size_bytes, self.average_bits, self.bops_g, self.pick,
            self.latency,
        )  # fmt: skip
        return bool(self.cost) or any(limit is not None for limit in own)

    @property
    def plans_alone(self) -> bool:
        """Whether a plan is all that is asked for: no sweep, and no saved table."""
        others = self.sweep, self.from_sweep, self.save_table
        return self.has_budget and all(other is None for other in others)

    @property
    def races(self) -> bool:
        """Whether the plans of several proxies race."""
        return self.table is None and len(self.proxy) != 1


def read_allocate(given: Sequence[str] | None) -> AllocateSettings:
    """Read the command line of ``gp_emq.allocate``.

    Raises:
        GpEmqError: It is wrong, or its options contradict each other.
    """
    parser = make_parser()
    options = parser.parse_args(given)
    if options.table is not None:
        _check_table(parser, options)
    elif options.network is None and options.workload is None:
        options.network = "digits"
    options.choices = _pairs(options.choices, widths, "--choices", "fc=4,8")
    options.fix = _pairs(options.fix, int, "--fix", "conv1=8")
    options.proxy = tuple(dict.fromkeys(options.proxy))
    options.groups = [_names(text) for text in options.groups]
    if options.baselines is not None:
        known = {"all": BASELINES, "none": ()}
        names = tuple(name.strip() for name in options.baselines.split(","))
        options.baselines = known.get(options.baselines, names)
    files, limits = len(options.cost), len(options.cost_budget)
    if files != limits:
        raise AllocationError(
            f"every --cost needs its --cost-budget: there are {files} and {limits}"
        )
    if (options.latency is None) != (options.latency_table is None):
        raise AllocationError(
            "--latency and --latency-table go together: a limit in milliseconds, and the file that "
            "gp_emq profile wrote"
        )
    measuring = settings_of(MeasureOptions, options)
    settings = settings_of(AllocateSettings, options, measuring=measuring)
    _check_asked(settings)
    return settings


def _check_table(parser: OptionParser, options: argparse.Namespace) -> None:
    """Refuse, beside a saved table, what it was made by, and what needs the network."""
    for name in _OF_THE_NETWORK:
        if getattr(options, name) != parser.get_default(name):
            raise AllocationError(
                f"--{name.replace('_', '-')} is for the network: the scores of --table are "
                "computed already"
            )


def _check_asked(asked: AllocateSettings) -> None:
    """Refuse what contradicts itself, or is too little."""
    if asked.sweep is not None and asked.from_sweep is not None:
        raise AllocationError("--sweep makes a sweep and --from-sweep reads one: give one of them")
    swept = asked.sweep is not None or asked.from_sweep is not None
    if asked.pick is not None:
        if not swept:
            raise AllocationError("--pick takes a point of a sweep: give --sweep or --from-sweep")
        if replace(asked, pick=None).has_budget:
            raise AllocationError("--pick takes its budget from the sweep: give no other")
    elif asked.from_sweep is not None:
        raise AllocationError("--from-sweep needs --pick, the number of a point in its table")
    if not (asked.has_budget or asked.sweep is not None or asked.save_table is not None):
        raise AllocationError(
            "no budget: give --size-mib, --size-mb, --size-bytes, --average-bits, --bops-g, "
            "--latency or --cost, or --sweep"
        )
    for option in ("csv", "torchao", "modelopt"):
        if getattr(asked, option) is not None and not asked.has_budget:
            raise AllocationError(f"--{option} writes a plan: give a budget, or --pick a point")
    if asked.table is None and not asked.proxy and not asked.plans_alone:
        raise AllocationError(
            "--proxy is missing: a sweep, and a saved table, are of one proxy; where there are "
            f"budgets alone, the plans of {', '.join(CONTENDERS)} race"
        )
    if len(asked.proxy) > 1 and not asked.plans_alone:
        raise AllocationError(
            f"--proxy is given {len(asked.proxy)} times, so that plans race: a sweep, and a saved "
            "table, are of one proxy"
        )
    if asked.measuring.wanted and not asked.has_budget:
        raise AllocationError("what is measured is a plan: give a budget, not --sweep alone")


def _pairs(
    texts: Sequence[str], read: Callable[[str], V], option: str, example: str
) -> dict[str, V]:
    """Read PATTERN=VALUE; of a pattern that comes twice, the last counts."""
    pairs: dict[str, V] = {}
    for text in texts:
        pattern, _, value = text.rpartition("=")
        pairs.pop(pattern, None)
        try:
            pairs[pattern] = read(value)
        except (ValueError, argparse.ArgumentTypeError):
            raise AllocationError(f"{option} {text!r} must be like {example}") from None
        if not pattern:
            raise AllocationError(f"{option} {text!r} must be like {example}")
    return pairs


def _names(text: str) -> tuple[str, ...]:
    """Read names such as `q,k,v`."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise AllocationError(f"--group {text!r} must be like q,k,v")
    return names
