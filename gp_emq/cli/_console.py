"""One command that has all the others."""

import contextlib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gp_emq.command import run_command
from gp_emq.errors import GpEmqError


@dataclass(frozen=True)
class Command:
    """A command.

    Args:
        module: Whose ``main`` runs it.
        description: What it does, in a line.
    """

    module: str
    description: str


COMMANDS = {
    "run": Command("gp_emq.run", "evolve a proxy on one bench or several"),
    "ablate": Command("gp_emq.ablate", "compare ways to search at equal evaluations"),
    "rank": Command("gp_emq.rank", "rank known and evolved proxies on benches"),
    "bench": Command("gp_emq.bench", "build, show, list and import benches"),
    "allocate": Command("gp_emq.allocate", "choose the bits of every layer within budgets"),
    "profile": Command("gp_emq.profile", "time every layer at every width on this machine"),
    "quantize": Command("gp_emq.quantize", "quantize a network as a plan says"),
    "qat": Command("gp_emq.qat.__main__", "train a network while it is quantized"),
    "watch": Command("gp_emq.watch", "follow a run under way from another terminal"),
    "report": Command("analysis.report", "write a page about a run"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names, with the arguments after it.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status.

    Raises:
        GpEmqError: No command is named, or an unknown one, or the command refuses.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["-h"], ["--help"]):
        sys.stdout.write(_help())
        return 0
    if not given:
        raise GpEmqError(f"no command: give one of {', '.join(COMMANDS)} (see --help)")
    command = COMMANDS.get(given[0])
    if command is None:
        raise GpEmqError(f"unknown command {given[0]!r}: there are {', '.join(COMMANDS)}")
    status: int = importlib.import_module(command.module).main(given[1:])
    return status


def console() -> NoReturn:
    """Be the console script ``gp_emq``.

    Modules of the folder that it is called in are found as ``python -m`` finds them, after all
    others: that is where networks and workloads of one's own are.
    """
    if not sys.flags.safe_path:
        with contextlib.suppress(OSError):  # the folder may be gone
            sys.path.append(str(Path.cwd()))
    run_command(main)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.description}" for name, command in COMMANDS.items()]
    return "\n".join(
        ["usage: gp_emq COMMAND ...", "", *lines, "", "gp_emq COMMAND --help explains one.", ""]
    )
