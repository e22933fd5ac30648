"""Ctrl-C and SIGTERM: a command's ends, from its first import on, without a traceback."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
ENDS = (signal.SIGINT, signal.SIGTERM)
"""What asks a command to end."""

_A_LITTLE = 0.05
_OURS = ("gp_emq", "analysis")
_SCRIPT = "gp_emq"
_USUAL: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


class Termination(KeyboardInterrupt):
    """SIGTERM has come: what tidies up after Ctrl-C does so after it, too."""


def is_command() -> bool:
    """Say whether the process is a command of this project, still importing.

    It is ``python -m`` with one of the project's modules, or the console script.
    """
    if sys.argv and os.path.basename(sys.argv[0]) == _SCRIPT:  # noqa: PTH119 - pathlib is slower
        return True
    starting = sys.argv[:1] == ["-m"]
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m") if starting else ""
    return module.partition(".")[0] in _OURS


def guard_imports() -> None:
    """End the process without a traceback if Ctrl-C or SIGTERM comes while a command still imports.

    Nothing is open then that would have to be closed. It is for commands only: to whoever else
    imports the package, Ctrl-C is their own.
    """
    for number, usual in _USUAL.items():
        # One that whoever started the process wants ignored stays ignored.
        if signal.getsignal(number) == usual:
            signal.signal(number, _leave)


@contextlib.contextmanager
def ends_as_exceptions() -> Iterator[None]:
    """Raise `KeyboardInterrupt` for Ctrl-C and `Termination` for SIGTERM, within the block.

    A signal that whoever started the process wants ignored stays ignored. Outside the main thread
    it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDS}
    hook = sys.unraisablehook
    if before[signal.SIGINT] in (_leave, signal.default_int_handler):
        signal.signal(signal.SIGINT, _interrupt)
    if before[signal.SIGTERM] in (_leave, signal.SIG_DFL):
        signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _raise_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            # None is a handler that was not installed from Python, and cannot be put back.
            if handler is not None:
                signal.signal(number, handler)


def ignore_ends() -> None:
    """Ignore Ctrl-C and SIGTERM from here on: the process is ending already."""
    if threading.current_thread() is threading.main_thread():
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def ends_left_to_this_process() -> Iterator[None]:
    """Start processes and threads within the block that Ctrl-C and SIGTERM do not reach.

    They inherit that both are blocked, from their first instruction on, and a process lets them
    through once it has settled. Here they wait until the end of the block, so none is lost, and
    nothing is left half started.
    """
    with _ends_at_the_end():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _ends_at_the_end() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM act at the end of the block: any other thread may receive them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in ENDS}
    # One that is ignored stays so, and what no Python function handles acts at once.
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in ours:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n" if number == signal.SIGINT else b"terminated\n")
    os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _put_off(number, frame):
        raise KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> None:
    if not _put_off(number, frame):
        raise Termination


def _put_off(number: int, frame: FrameType | None) -> bool:
    """Send a signal again a little later if it came during an import.

    What is raised in the middle of an import may be swallowed there: libraries try to import
    others and go on without, whatever the failure was.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            again = threading.Timer(_A_LITTLE, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return True
        frame = frame.f_back
    return False


def _raise_again(report: "sys.UnraisableHookArgs") -> None:
    """Raise an interruption that came where nothing can be raised, as in a destructor, later."""
    ends: dict[Any, int] = {KeyboardInterrupt: signal.SIGINT, Termination: signal.SIGTERM}
    number = ends.get(report.exc_type)
    if number is None:
        sys.__unraisablehook__(report)
    else:
        signal.raise_signal(number)
