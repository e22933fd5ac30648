"""Standard output and error that may be closed, full, a pipe nobody reads, or ASCII alone."""

import contextlib
import io
import os
import sys
from typing import Any, TextIO


def prepare_streams() -> None:
    """Let standard output and error be written, whatever they are.

    Python leaves a stream that was closed from the start as None, and the next file that is opened
    then takes its number. Here standard error becomes one that leads nowhere, and standard output
    one that fails when it is flushed, as it does for any other program: what it should have shown
    is lost. Characters that a stream's encoding lacks are written as escapes.
    """
    if sys.stdout is None:
        sys.stdout = sys.__stdout__ = _leading_nowhere(os.O_RDONLY)  # type: ignore[misc]
    if sys.stderr is None:
        sys.stderr = _leading_nowhere(os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _noted(sys.stdout)


def flush_output() -> OSError | None:
    """Flush standard output, and give the error if that fails; what it held is then dropped."""
    try:
        sys.stdout.flush()
        if _Noted.failure is not None:
            raise _Noted.failure
    except OSError as error:
        _Noted.failure = None
        # Python flushes once more at its end, and would print a traceback.
        with contextlib.suppress(OSError, io.UnsupportedOperation):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            sys.stdout.flush()
        return error
    return None


def say(line: str) -> None:
    """Write a line to standard error, if anybody can be told."""
    # Where not even this can be written, the exit status has to say it all.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class _Noted(io.FileIO):
    """Notes that it could not be written, since the error alone does not say of which file it is.

    What was too much for a buffer and failed is not tried again when that is flushed.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            _Noted.failure = error
            raise


def _noted(stream: io.TextIOWrapper) -> TextIO:
    """Give another stream to where one leads, whose failures are noted."""
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Noted(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _leading_nowhere(flags: int) -> io.TextIOWrapper:
    raw = io.FileIO(os.open(os.devnull, flags), "w")
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
