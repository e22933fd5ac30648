"""Options that several commands have, and how parsed ones become typed settings."""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from gp_emq.files import literal_calls
from gp_emq.networks import LEAST_GROUP, PER_TENSOR, Granularity
from gp_emq.options import positive, seed, whole

Group = argparse._ActionsContainer
"""A parser, or a group of its options."""

S = TypeVar("S")

OWN_IMAGES = (
    "its images: those of its data set, or an .npz of x float32 (n,C,H,W) and, if there are "
    "labels, y"
)


def settings_of(kind: type[S], options: argparse.Namespace, **given: Any) -> S:
    """Make a dataclass of the options that its fields are called after; lists become tuples.

    Args:
        kind: The dataclass.
        options: What was parsed.
        given: Fields that are not as they were parsed.
    """
    values = {
        field.name: given[field.name] if field.name in given else getattr(options, field.name)
        for field in fields(kind)  # type: ignore[arg-type]
    }
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@cache
def recipes() -> tuple[tuple[str, str, int], ...]:
    """Give name, description and steps of learning of each recipe, the quick ones first."""
    found = [
        (*values[:2], named.get("iterations", 0))
        for values, named in literal_calls("gp_emq.quantization.recipes", "Recipe")
    ]
    return tuple(sorted(found, key=lambda recipe: (recipe[2], recipe[0])))


class _List(argparse.Action):
    """Writes lines to standard output and ends the command, as ``--help`` does."""

    def __init__(self, *, lines: Callable[[], Iterable[str]], **settings: Any) -> None:
        super().__init__(**{**settings, "dest": argparse.SUPPRESS, "nargs": 0})
        self.lines = lines

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        sys.stdout.writelines(f"{line}\n" for line in self.lines())
        parser.exit()


def add_list(group: Group, option: str, lines: Callable[[], Iterable[str]]) -> None:
    """Add an option that lists something and ends the command.

    Args:
        group: What to add it to.
        option: Its name, as in ``--list-benches``.
        lines: Gives what it lists.
    """
    what = option.removeprefix("--list-").replace("-", " ")
    group.add_argument(option, action=_List, lines=lines, help=f"list the {what} and exit")


def add_inputs(
    group: Group,
    network: str,
    *,
    weights: str = "its weights, if it needs any",
    data: str = OWN_IMAGES,
    **settings: Any,
) -> None:
    """Add ``--network``, ``--weights`` and ``--data``.

    Args:
        group: What to add them to.
        network: What the network is.
        weights: What the weights are.
        data: What the images are.
        settings: Of ``--network``, as its default.
    """
    settings = {"metavar": "NAME|MODULE:FACTORY", **settings}
    group.add_argument("--network", help=network, **settings)
    group.add_argument("--weights", type=Path, metavar="FILE", help=weights)
    group.add_argument("--data", type=Path, nargs="+", default=[], metavar="PATH", help=data)


def add_workload(group: Group) -> None:
    """Add ``--workload``, which names code: no file may give it."""
    group.add_argument(
        "--workload", metavar="MODULE:FUNCTION",
        help="instead of a network and data: a function without arguments that returns a "
        "gp_emq.Workload, which has a model of any kind, its samples, loss and metric",
    )  # fmt: skip


def add_number(
    group: Group,
    option: str,
    what: str,
    default: float | None = None,
    *,
    kind: Callable[[str], float] = positive,
    metavar: str = "N",
) -> None:
    """Add an option that is a number.

    Args:
        group: What to add it to.
        option: Its name, as in ``--images``.
        what: What it is; a default is told after it.
        default: What it is unless given.
        kind: One of the types of `gp_emq.options`.
        metavar: Stands for the number.
    """
    told = what if default is None else f"{what} (default: {default})"
    group.add_argument(option, type=kind, default=default, metavar=metavar, help=told)


def add_granularity(group: Group, default: str = "one per output channel") -> None:
    """Add ``--per-tensor`` and ``--scale-group``, of which one may be given.

    Args:
        group: What to add them to.
        default: What there is without them.
    """
    either = group.add_mutually_exclusive_group()
    add_per_tensor(either, default)
    add_scale_group(either, f"(default: {default})")


def add_per_tensor(group: Group, default: str = "one per output channel") -> None:
    """Add ``--per-tensor``.

    Args:
        group: What to add it to.
        default: What there is without it.
    """
    group.add_argument(
        "--per-tensor", action="store_true",
        help=f"one scale per weight tensor (default: {default})",
    )  # fmt: skip


def add_scale_group(group: Group, default: str) -> None:
    """Add ``--scale-group``.

    Args:
        group: What to add it to.
        default: Told after what it is.
    """
    add_number(
        group, "--scale-group",
        "weights of an output channel that share a scale, along the inputs of a linear layer, and "
        "along inputs and kernel together of a convolution; the last group of a channel is shorter "
        f"where they do not fill it {default}", kind=whole(LEAST_GROUP),
    )  # fmt: skip


def granularity_of(*, per_tensor: bool, scale_group: int | None) -> Granularity | None:
    """Give what was asked for of ``--per-tensor`` and ``--scale-group``, if anything was."""
    if scale_group is not None:
        return Granularity(per_channel=True, group=scale_group)
    return PER_TENSOR if per_tensor else None


def add_seed(group: Group, what: str = "of all draws") -> None:
    """Add ``--seed``, which is 0 unless given."""
    add_number(group, "--seed", what, 0, kind=seed)


def add_no_cache(group: Group, what: str = "collect statistics anew and keep none on disk") -> None:
    """Add ``--no-cache``."""
    group.add_argument("--no-cache", action="store_true", help=what)
