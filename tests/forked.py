"""Commands in processes of their own, forked from one that has imported what is slow to import.

To a command it is as if it had been started anew: nothing of the package is imported yet, and its
files, its signals and its end are its own. Only what belongs to the start of the interpreter is
not: the seed of its hashes, and a signal that comes before there is anything to end.
"""

import contextlib
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import examples


class Forked:
    """A command that runs, with what `subprocess.Popen` has of it.

    Args:
        words: A module, and its arguments.
        env: Its whole environment; that of this process if none is given.
        out: The file that its output is added to.
        err: The file that its complaints are added to.
        most_bytes: How large files may become that it writes.
    """

    def __init__(
        self,
        words: Sequence[object],
        *,
        env: Mapping[str, str] | None = None,
        out: str | Path | None = None,
        err: str | Path | None = None,
        most_bytes: int = resource.RLIM_INFINITY,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        outputs = [str(out or f"{self._folder.name}/out"), str(err or f"{self._folder.name}/err")]
        self._outputs = [Path(name) for name in outputs]
        environment = dict(os.environ if env is None else env)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(examples.SLOW)
        given = ([str(word) for word in words], environment, Path.cwd(), outputs, most_bytes)
        self._process = context.Process(target=_become, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("the command", timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float = 100.0) -> tuple[str, str]:
        """Wait for its end, and give what it wrote."""
        self.wait(timeout)
        out, err = (path.read_text(encoding="utf-8") for path in self._outputs)
        return out, err

    def send_signal(self, number: int) -> None:
        # Its end is told a moment after it.
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _become(
    words: list[str],
    environment: dict[str, str],
    place: Path,
    outputs: list[str],
    most_bytes: int,
) -> None:
    """Be the command that ``python -m`` would start."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    for number, name in enumerate(outputs, start=1):
        os.dup2(os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY), number)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    sys.argv, sys.orig_argv = ["-m", *words[1:]], [sys.executable, "-m", *words]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
