"""Showing a run until it ends."""

import os
import shutil
import sys
import time
from pathlib import Path

from gp_emq.columns import terminal_width
from gp_emq.watching._snapshot import Snapshot, WatchedRun
from gp_emq.watching._text import ending_lines, generation_line, snapshot_lines

_LONGEST_WAIT = 3600.0


def show_once(folder: Path) -> None:
    """Write what a run has come to.

    Args:
        folder: Of the run.

    Raises:
        RunError: It is no run, or a damaged one.
    """
    with WatchedRun(folder) as run:
        _write(snapshot_lines(run.look(), terminal_width()))


def follow(folder: Path, interval: float) -> None:
    """Write what a run has come to, again and again until it is complete.

    A terminal shows the present state in place. Elsewhere each new generation is a line.

    Args:
        folder: Of the run.
        interval: Seconds between two looks.

    Raises:
        RunError: It is no run, or a damaged one, or it ended before its first generation.
    """
    redraws = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    screen = _Screen() if redraws else _Log()
    with WatchedRun(folder) as run:
        while True:
            snapshot = run.look()
            screen.show(snapshot)
            if snapshot.is_complete:
                return
            time.sleep(min(interval, _LONGEST_WAIT))


class _Screen:
    """A terminal, where the present state takes the place of the one before."""

    def __init__(self) -> None:
        self._shown = 0

    def show(self, snapshot: Snapshot) -> None:
        lines = snapshot_lines(snapshot, terminal_width())
        height = shutil.get_terminal_size().lines
        # What has scrolled away cannot be drawn over; the end stays whole.
        if not snapshot.is_complete:
            lines = lines[: max(1, height - 1)]
        if self._shown:
            sys.stdout.write(f"\x1b[{self._shown}A\x1b[J")
        _write(lines)
        self._shown = len(lines)


class _Log:
    """A file or a pipe, which gets a line for each new generation."""

    def __init__(self) -> None:
        self._state = ""

    def show(self, snapshot: Snapshot) -> None:
        width = terminal_width()
        lines: list[str] = []
        if snapshot.last is None:
            self._say(snapshot_lines(snapshot, width))
            return
        # Of a run that has been going for long, not all that was before.
        new = snapshot.new if self._state else snapshot.new[-1:]
        lines = [generation_line(snapshot, row, width) for row in new]
        self._state = "generations"
        _write([*lines, *ending_lines(snapshot, width)])

    def _say(self, lines: list[str]) -> None:
        """Write a state that is not the one before."""
        state = "\n".join(lines)
        if state != self._state:
            self._state = state
            _write(lines)


def _write(lines: list[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
