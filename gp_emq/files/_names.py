"""Names out of files: what they may not be is code."""

from typing import NoReturn

from gp_emq.errors import GpEmqError
from gp_emq.files._messages import shortened

LONGEST_PATH = 200
"""Characters of a path that a message repeats whole."""


def is_code(name: str) -> bool:
    """Say whether a name is one of code to run, `package.module:factory` or the path of a file."""
    return ":" in name or "/" in name or "\\" in name or name.endswith(".py")


def refuse_code(name: str, error: type[GpEmqError], where: str, option: str) -> None:
    """Refuse a name that a file gives if it is one of code.

    Files are handed from one person to another, so what runs is never named by one.

    Args:
        name: as the file gives it.
        error: what is raised.
        where: the file, and what it names, as in "plan.json names the network".
        option: how the user gives the name, such as `--network`.

    Raises:
        GpEmqError: of the kind given.
    """
    if is_code(name):
        _refuse(name, error, where, option)


def _refuse(name: str, error: type[GpEmqError], where: str, option: str) -> NoReturn:
    # What is to be given is whole, so that it can be copied, unless nobody has such a path.
    given = name if name.isprintable() and len(name) <= LONGEST_PATH else shortened(name).strip("'")
    raise error(
        f"{where} {shortened(name)}, and no file may name code that runs: if you trust it, give "
        f"{option} {given}"
    )
