"""What every command of the package shares: how it ends."""

import contextlib
import gc
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn

from gp_emq._signals import (
    INTERRUPTED,
    TERMINATED,
    Termination,
    ends_as_exceptions,
    ignore_ends,
)
from gp_emq._streams import flush_output, prepare_streams, say
from gp_emq.errors import GpEmqError
from gp_emq.outputs import has_no_room

WRONG_INPUT = 2
CANNOT_WRITE = 1
REGRESSES = 3
"""A plan was measured to lose more than it may; what `InfeasibleError` ends with is 4."""
WORKERS = "gp_emq-"
"""What the names of threads begin with that work for a farm."""

NOBODY_READS = 141
"""What the shell gives for a program that SIGPIPE ended, as in ``... | head -1``."""

KEPT_STATISTICS = "the statistics collected so far are kept: the same command goes on from there"
"""For commands that collect statistics into a cache, and are quick with the rest."""


def make_callable(module: str, package: str) -> None:
    """Let the module of a command be called as the function of the same name.

    `gp_emq.allocate` is a function, and `gp_emq/allocate.py` the command of that name: whoever
    imports the command puts the module in the function's place, which then has to act as it.

    Args:
        module: `__name__` of the command's module.
        package: Name of the package whose function calling the module calls, imported then.
    """
    function = module.rpartition(".")[2]

    def call(_module: ModuleType, /, *given: Any, **named: Any) -> Any:
        return getattr(importlib.import_module(package), function)(*given, **named)

    sys.modules[module].__class__ = type("CallableModule", (ModuleType,), {"__call__": call})


@contextlib.contextmanager
def resumption(hint: Callable[[], str]) -> Iterator[None]:
    """Say how to go on, should the block be interrupted or the disk become full.

    Args:
        hint: Gives what is kept and how to go on, the end of a sentence; empty for nothing.
    """
    try:
        yield
    except (KeyboardInterrupt, GpEmqError, OSError) as error:
        if (isinstance(error, KeyboardInterrupt) or has_no_room(error)) and (text := hint()):
            error.add_note(text)
        raise


def spare_what_lives() -> None:
    """Look for garbage more rarely: what imports make stays, and looking through it takes long."""
    gc.set_threshold(20_000, 20, 20)


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a command's main function and exit as every command of the package does.

    Args:
        main: the command; the integer it returns, or 0, becomes the exit status.

    Raises:
        SystemExit: always, with what `exit_status` gives.
    """
    spare_what_lives()
    status = exit_status(main)
    if status > 128 or any(thread.name.startswith(WORKERS) for thread in threading.enumerate()):
        # Threads that are still at work would delay the end, or crash in the middle of it.
        os._exit(status)
    sys.exit(status)


def exit_status(main: Callable[[], int | None]) -> int:
    """Run a command's main function, and report how it failed in one line on standard error.

    Args:
        main: the command.

    Returns:
        What it returns, or 0; 2 after a `GpEmqError`; 1 where the disk is full, or standard output
        cannot be written; 141 where nobody reads standard output any more; 130 after Ctrl-C and
        143 after SIGTERM.
    """
    prepare_streams()
    try:
        with ends_as_exceptions():
            try:
                return _status_of(main)
            except KeyboardInterrupt as error:
                ignore_ends()
                is_end = isinstance(error, Termination)
                flush_output()
                say("; ".join(["terminated" if is_end else "interrupted", *_notes(error)]))
                return TERMINATED if is_end else INTERRUPTED
    except KeyboardInterrupt:
        # Pressed twice, the second time before it was ignored.
        return INTERRUPTED


def _status_of(main: Callable[[], int | None]) -> int:
    try:
        status = _result_of(main)
    except GpEmqError as error:
        flush_output()
        say("; ".join([f"error: {' '.join(str(error).split())}", *_notes(error)]))
        return CANNOT_WRITE if has_no_room(error) else error.status
    except OSError as error:
        failure = flush_output()
        if failure is None:
            if not has_no_room(error):
                if error.filename is None:
                    raise
                # What nobody foresaw of a file of the user's, as a name that is too long.
                say(f"error: cannot use {error.filename}: {error.strerror}")
                return WRONG_INPUT
            place = f" {error.filename}" if error.filename else ""
            say("; ".join([f"error: cannot write{place}: {error.strerror}", *_notes(error)]))
            return CANNOT_WRITE
    else:
        failure = flush_output()
        if failure is None:
            return status
    if isinstance(failure, BrokenPipeError):
        return NOBODY_READS
    say(f"error: cannot write to standard output: {failure.strerror}")
    return CANNOT_WRITE


def _result_of(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except SystemExit as ended:
        # So argparse ends after --help, which may be read no further than its first line.
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", []))
