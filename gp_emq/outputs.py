"""Where commands write: checked before any work, and never anything but a regular file."""

import argparse
import errno
import os
import re
import sqlite3
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gp_emq.errors import GpEmqError, RunError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

PICTURES = (".png", ".svg", ".pdf", ".eps", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
"""Endings of figures that a command draws."""


@dataclass(frozen=True)
class OutputFile:
    """The type of options that name a file to write.

    Args:
        suffixes: The endings that the writer knows; empty for any.
    """

    suffixes: tuple[str, ...] = ()

    def __call__(self, text: str) -> Path:
        """Read the option."""
        return Path(text)

    def check(self, path: Path) -> None:
        """Refuse what could not be written.

        Raises:
            RunError: See `check_output_file`.
        """
        check_output_file(path, self.suffixes)


@dataclass(frozen=True)
class OutputFolder:
    """The type of options that name a folder to write into, made where it is missing."""

    def __call__(self, text: str) -> Path:
        """Read the option."""
        return Path(text)

    def check(self, path: Path) -> None:
        """Refuse what could not be written.

        Raises:
            RunError: See `check_output_folder`.
        """
        check_output_folder(path)


def check_output_file(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Refuse, before anything is computed, a file that could not be written.

    Args:
        path: The file; what is there already may be a regular file alone.
        suffixes: The endings that the writer knows; empty for any.

    Raises:
        RunError: Its ending is none of those, its folder is missing or cannot be written, or it
            is a folder, a device, a pipe or a socket, or a link to one.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise RunError(
            f"cannot write {path}: its ending must be one of {', '.join(suffixes)}, not "
            f"{path.suffix or 'none'!r}"
        )
    refuse_irregular(path)
    folder = _parent(path)
    if not folder.is_dir():
        raise RunError(f"cannot write {path}: there is no folder {path.parent}")
    _check_writable(folder, path)


def check_output_folder(path: Path) -> None:
    """Refuse, before anything is computed, a folder that could not be made or written.

    Args:
        path: The folder; those that it is in may be missing, too.

    Raises:
        RunError: It, or something that it is in, is no folder or cannot be written.
    """
    if "\0" in str(path):
        raise RunError(f"cannot write to the folder {str(path)!r}: embedded null byte")
    for folder in (path, *path.parents):
        if os.path.lexists(folder):
            if not folder.is_dir():
                raise RunError(f"cannot write to the folder {path}: {folder} is no folder")
            _check_writable(folder, path)
            return


def refuse_irregular(path: Path) -> None:
    """Refuse to write where something is that is no regular file, as a device or a folder.

    Args:
        path: A file to write; links are followed.

    Raises:
        RunError: There is something else, or it is a stream of a process, as `/dev/stdout`.
    """
    place = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow /dev/stdout
    is_stream = place.parts[1:2] in (("dev",), ("proc",)) and place.parts[1:3] != ("dev", "shm")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if is_stream:
            raise RunError(
                f"cannot write {path}: no files are written to /{place.parts[1]}"
            ) from None
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot write {str(path)!r}: {reason}") from error
    if stat.S_ISDIR(mode):
        raise RunError(f"cannot write {path}: it is a folder")
    if is_stream or not stat.S_ISREG(mode):
        raise RunError(f"cannot write {path}: it is no regular file, and would be replaced by one")


def has_no_room(error: BaseException) -> bool:
    """Say whether an error is because of a full disk, or one that fails, whoever reported it."""
    words = "|".join([*map(os.strerror, _NO_ROOM), r"\d+ requested and \d+ written"])
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            return True
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorname", "").startswith(
            ("SQLITE_FULL", "SQLITE_IOERR")
        ):
            return True
        # Workers send errors without their causes, safetensors puts them into words, and numpy
        # says how much it has written.
        if isinstance(cause, GpEmqError) and re.search(words, str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def check_outputs(actions: Iterable[argparse.Action], options: argparse.Namespace) -> None:
    """Check all options of a command line that name files and folders to write.

    Args:
        actions: The options of a parser; those to write have the type `OutputFile` or
            `OutputFolder`.
        options: What was given.

    Raises:
        RunError: One could not be written, or two options name the same file.
    """
    outputs: dict[str, Path] = {}
    others: dict[str, list[Path]] = {}
    for action in actions:
        name = "/".join(action.option_strings[-1:]) or action.dest
        value = getattr(options, action.dest, None)
        if isinstance(action.type, OutputFile | OutputFolder) and value is not None:
            action.type.check(value)
            if isinstance(action.type, OutputFile):
                outputs[name] = value
        elif action.type is Path:
            others[name] = [item for item in _items(value) if isinstance(item, Path)]
    _check_apart(outputs, others)


def _check_apart(outputs: Mapping[str, Path], others: Mapping[str, Sequence[Path]]) -> None:
    """Refuse two options that write one file, and one that writes what another reads."""
    seen: dict[str, str] = {}
    for name, path in outputs.items():
        place = os.path.realpath(path)
        if place in seen:
            raise RunError(f"{seen[place]} and {name} both name {path}: give them different files")
        seen[place] = name
    for name, paths in others.items():
        for path in paths:
            # A path with a null character is none, and whoever reads it says so.
            writer = None if "\0" in str(path) else seen.get(os.path.realpath(path))
            if writer is not None and path.is_file():
                raise RunError(f"{writer} would write over {path}, which {name} reads")


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _parent(path: Path) -> Path:
    """Give the folder that a file is really in, at the end of all links."""
    return Path(os.path.realpath(path)).parent


def _check_writable(folder: Path, path: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RunError(f"cannot write {path}: the folder {folder} cannot be written")
