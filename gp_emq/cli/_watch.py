"""The options of ``gp_emq watch``."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.cli._options import add_number, settings_of
from gp_emq.options import OptionParser, seconds

DEFAULT_INTERVAL = 2.0


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """What the command line asks for: the folder of a run, and how often to look."""

    run: Path
    interval: float
    once: bool


def read_watch(given: Sequence[str] | None) -> WatchSettings:
    """Read the command line of ``gp_emq.watch``.

    Raises:
        GpEmqError: It is wrong.
    """
    parser = OptionParser(
        prog="python -m gp_emq.watch",
        description="Follow a run that goes on elsewhere, as in another terminal, until it is "
        "complete. Its store is only read; the run comes to the same result.",
        epilog="A terminal shows the present state; a file or a pipe gets one line for each new "
        "generation. Ctrl-C ends this command, not the run.",
    )
    parser.add_argument(
        "run", type=_folder, metavar="RUN", help="folder of a run, e.g. runs/digits"
    )
    add_number(
        parser, "--interval", "between two looks", DEFAULT_INTERVAL, kind=seconds,
        metavar="SECONDS",
    )  # fmt: skip
    parser.add_argument("--once", action="store_true", help="show the present state, and end")
    return settings_of(WatchSettings, parser.parse_args(given))


def _folder(text: str) -> Path:
    if not text:
        # It would stand for the present folder, and an empty one is waited for to become a run.
        raise argparse.ArgumentTypeError("must name a folder, got nothing")
    return Path(text)
