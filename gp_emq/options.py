"""What the commands' options have in common: one-line complaints, number types, TOML files."""

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from gp_emq.errors import GpEmqError
from gp_emq.files import did_you_mean, read_toml, refuse_code, shortened
from gp_emq.outputs import check_outputs

_LONGEST = 400
_PLAIN = str | int | float
_KEY = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_CODE = ("network", "workload", "test_workload", "test-workload", "primitives")
"""Options that may name code to run, which the command line alone may do."""


class _Paragraphs(argparse.HelpFormatter):
    """Fills each paragraph of a description by itself, and leaves indented ones as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            part
            if part.startswith(" ")
            else super(_Paragraphs, self)._fill_text(part, width, indent)
            for part in text.strip("\n").split("\n\n")
        )


class OptionParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all the package's.

    What options of the types of `gp_emq.outputs` name is checked before the command begins.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        # A shortened option could be given by a file where the whole one is refused.
        own = {"allow_abbrev": False, "formatter_class": _Paragraphs}
        super().__init__(*args, **{**own, **settings})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read a command line as `argparse.ArgumentParser` does.

        Raises:
            GpEmqError: It is wrong, or names what could not be written.
        """
        given = sys.argv[1:] if args is None else list(args)
        for text in given:
            if "\0" in text:
                self.error(f"no option takes a null character, as in {shortened(text)}")
        options, rest = super().parse_known_args(given, namespace)
        check_outputs(self._actions, options)
        return options, rest

    def error(self, message: str) -> NoReturn:
        """Complain.

        Raises:
            GpEmqError: Always.
        """
        shown = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."
        raise GpEmqError(f"{' '.join(shown.split())}{self._hint(message)} (see --help)")

    def _hint(self, message: str) -> str:
        """Ask for the option that is like an unknown one, of which a message may be."""
        beginning, _, unknown = message.partition("unrecognized arguments: ")
        if beginning or not unknown.startswith("-"):
            return ""
        hint = did_you_mean(unknown.split()[0].split("=")[0], self._option_string_actions)
        return hint and f"; {hint.strip()}"


MOST = 2**31 - 1
"""The largest number of anything: what is counted, and what libraries count with."""

MOST_SEEDS = 2**63 - 1
"""The largest seed that every generator takes."""


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """Give the type of options that are whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        value = _whole_number(text)
        if value is None or value < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least}, got {shortened(text)}"
            )
        if value > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, got {shortened(text)}")
        return value

    return read


positive = whole(1)
not_negative = whole(0)
seed = whole(0, MOST_SEEDS)


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a share between 0 and 1, got {text!r}")
    return value


def seconds(text: str) -> float:
    """Read a positive number of seconds."""
    value = _number(text)
    if value is None or value <= 0:
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, got {text!r}")
    return value


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Give the type of arguments that are names, of which there may be none.

    `choices` of such arguments would have to hold the empty list, and be shown with it.
    """

    def read(text: str) -> str:
        known = tuple(names)
        if text not in known:
            raise argparse.ArgumentTypeError(
                f"must be one of {', '.join(known)}, not {shortened(text)}"
            )
        return text

    return read


def positive_number(text: str) -> float:
    """Read a positive number."""
    value = _number(text)
    if value is None or value <= 0:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text!r}")
    return value


def _whole_number(text: str) -> int | None:
    # Not through a float, which would round a large one without a word.
    if re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        return int(text)
    value = _number(text)
    return None if value is None or value != int(value) else int(value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def options_from_file(given: Sequence[str], switches: Sequence[str] = ()) -> list[str]:
    """Turn the TOML file of ``--config`` into a command line that the given one may override.

    Args:
        given: The command line.
        switches: Names of options that are on unless ``--no-NAME`` is given; a file says
            ``name = false``.

    Returns:
        Options to put before the given ones; none without ``--config``.

    Raises:
        GpEmqError: The file cannot be read, is no TOML, names code that runs, or gives an option
            a table, a date or a list of lists.
    """
    finder = OptionParser(add_help=False)
    finder.add_argument("--config", type=Path)
    path: Path | None = finder.parse_known_args(list(given))[0].config
    if path is None:
        return []
    content = read_toml(path, GpEmqError, "the configuration")
    line: list[str] = []
    for key, value in content.items():
        if not _KEY.fullmatch(key) or key in ("config", "help") or _is_option(value):
            raise GpEmqError(
                f"the configuration {path} gives {shortened(key)} as {shortened(value)}: a file "
                "gives the values of options by their whole names"
            )
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            if key in switches:
                line.extend([] if value else [f"--no-{key}"])
            elif value:
                line.append(flag)
        elif isinstance(value, list) and all(isinstance(item, _PLAIN) for item in value):
            line.extend([flag, *map(str, value)])
        elif isinstance(value, _PLAIN):
            if key in _CODE:
                refuse_code(str(value), GpEmqError, f"{path} gives {key} as", flag)
            line.extend([flag, str(value)])
        else:
            raise GpEmqError(
                f"the configuration {path} gives {shortened(key)} a {type(value).__name__}"
            )
    return line


def _is_option(value: object) -> bool:
    """Say whether a command line would take a value out of a file for an option."""
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, str) and item.startswith("-") for item in items)
