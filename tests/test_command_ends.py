"""How commands end: closed, full and narrow outputs, full disks, Ctrl-C and SIGTERM at any time."""

import errno
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Forked

from gp_emq.command import exit_status, resumption
from gp_emq.errors import GpEmqError, RunError, StatisticsError
from gp_emq.experiment import RunConfiguration, how_to_resume
from gp_emq.mqbench import read_bench

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
LIST = ["gp_emq.run", "--list-primitives"]
BUILD = [
    "gp_emq.bench", "build", "--network", "digits", "--calibration-images", "64", "--configs", "16",
    "--test-images", "500", "--protocol", "rtn", "--arithmetic", "float", "--quiet",
]  # fmt: skip


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Let bash run a command; PYTHON stands for the interpreter with `-m`."""
    return subprocess.run(
        ["/bin/bash", "-c", command.replace("PYTHON", f"{sys.executable} -m")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "status", "line"),
    [
        ("| head -1 > /dev/null; exit ${PIPESTATUS[0]}", 141, ""),
        (">&-", 1, "error: cannot write to standard output: Bad file descriptor\n"),
        ("> /dev/full", 1, "error: cannot write to standard output: No space left on device\n"),
        ("2>&- > /dev/null", 0, ""),
    ],
)
def test_an_output_that_takes_nothing_is_no_accident(redirection, status, line) -> None:
    # More than a pipe holds, so that whoever writes notices that nobody reads.
    script = "import sys; from gp_emq.command import run_command; "
    script += "run_command(lambda: print('x\\n' * 300_000))"
    found = shell(f'{sys.executable} -c "{script}" {redirection}')
    assert (found.returncode, found.stderr) == (status, line)


def test_no_window_is_needed_to_draw(tmp_path) -> None:
    picture = tmp_path / "digits.svg"
    environment = {**os.environ, "MPLBACKEND": "no such one"}
    command = Forked(["gp_emq.bench", "show", "digits", "--plot", picture], env=environment)
    _, complaint = command.communicate()
    assert (command.returncode, complaint) == (0, "")
    assert picture.exists()


def test_help_may_be_read_no_further_than_its_first_line() -> None:
    found = shell("PYTHON gp_emq.run --help | true; exit ${PIPESTATUS[0]}")
    assert found.returncode in (0, 141)
    assert found.stderr == ""


@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
def test_an_output_of_few_characters_gets_escapes(variables, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from gp_emq.command import run_command\nrun_command(lambda: print('τ – ✓'))\n",
        encoding="utf-8",
    )
    found = shell(f"{sys.executable} {script}", **variables)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout in ("\\u03c4 \\u2013 \\u2713\n", "τ – ✓\n")


def test_a_full_disk_loses_nothing_of_a_build(tmp_path, capsys) -> None:
    """A limit on the size of files is to a process what a full disk is."""
    command = Forked([*BUILD, "--out", tmp_path / "b"], most_bytes=1000)
    _, complaint = command.communicate()
    assert command.returncode == 1
    assert complaint == (
        f"error: cannot write {tmp_path / 'b.partial'}: File too large; what is measured is kept "
        "beside the bench file: the same command goes on from there\n"
    )
    kept = (tmp_path / "b.partial").read_bytes()
    complete = kept[: kept.rfind(b"\n") + 1]
    assert complete.count(b"\n") > 3
    again = importlib.import_module(BUILD[0])
    assert exit_status(lambda: again.main([*BUILD[1:], "--out", str(tmp_path / "b")])) == 0
    assert capsys.readouterr().err == ""
    assert len(read_bench(tmp_path / "b").accuracies) == 16
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def no_room() -> int:
    cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/file")
    raise RunError("cannot write /disk/file") from cause


def full() -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/file")


def from_a_worker() -> int:
    raise GpEmqError("cannot write /disk/file: No space left on device")


@pytest.mark.parametrize("main", [no_room, full, from_a_worker])
def test_a_full_disk_is_status_1_and_says_how_to_go_on(main, capsys) -> None:
    def hinted() -> int:
        with resumption(lambda: "what is there is kept"):
            return main()

    assert exit_status(hinted) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot write /disk/file")
    assert error.endswith("; what is there is kept\n")
    assert error.count("\n") == 1


def test_a_full_disk_is_no_fault_of_a_proxy(tmp_path, monkeypatch, capsys) -> None:
    """Statistics that cannot be kept end a ranking, and are no note beside one of its proxies."""
    from gp_emq.rank import main

    def write(self, name: str, save: object) -> None:
        raise StatisticsError("cannot write statistics: 43016 requested and 7136 written")

    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path))
    monkeypatch.setattr("gp_emq.statistics._cache.StatisticsFolder._write", write)
    assert exit_status(lambda: main(["--proxies", "sum_of_bits,snip", "--quiet"])) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: cannot write statistics")
    assert captured.err.endswith("the same command goes on from there\n")


def test_a_users_mistake_has_no_hint(capsys) -> None:
    def wrong() -> int:
        with resumption(lambda: "what is there is kept"):
            raise GpEmqError("not like\nthis")

    assert exit_status(wrong) == 2
    assert capsys.readouterr().err == "error: not like this\n"


def test_a_run_without_a_generation_has_nothing_to_resume(tmp_path) -> None:
    assert "--resume" not in how_to_resume(tmp_path, RunConfiguration())


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_says_how_to_go_on(number, status, word, capsys) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def main() -> int:
        with resumption(lambda: "all is kept"):
            os.kill(os.getpid(), number)
            time.sleep(5)
        return 0

    try:
        assert exit_status(main) == status
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == f"{word}; all is kept\n"


def _usual() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted(
    arguments: list[str], *seconds: float, number: int, once: str = ""
) -> tuple[int, str]:
    """Start a command in a group of its own, signal the whole group at moments, and see it end.

    Moments count from the start, or from when a library is loaded whose name has `once` in it.
    """
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background may have Ctrl-C ignored.
        preexec_fn=_usual,  # noqa: PLW1509 - it only sets a handler
    ) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and once not in maps.read_text():
            time.sleep(0.005)
        for delay in seconds:
            time.sleep(delay)
            if process.poll() is None:
                os.killpg(process.pid, number)
        _, error = process.communicate(timeout=100)
    return process.returncode, error


def test_a_signal_during_an_import_outlives_who_swallows_it(tmp_path, monkeypatch, capsys) -> None:
    """Libraries import others in a `try` that takes every failure for their absence."""
    (tmp_path / "swallows_it.py").write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.02)\n"
        "except BaseException:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def main() -> int:
        importlib.import_module("swallows_it")
        time.sleep(5)
        return 0

    assert exit_status(main) == 143
    assert capsys.readouterr().err == "terminated\n"


@pytest.mark.parametrize("after", [0.0, 0.3, 0.6])
def test_ctrl_c_while_a_command_imports_leaves_no_traceback(after, tmp_path) -> None:
    status, error = interrupted(
        ["gp_emq.qat", "--bits", "4", "--network", "digits", "--out", str(tmp_path / "q"),
         "--epochs", "50", "--quiet"], after, number=signal.SIGINT, once="libtorch",
    )  # fmt: skip
    assert "Traceback" not in error
    assert (status, error.partition(";")[0].strip()) == (130, "interrupted")


@pytest.mark.parametrize(
    ("backend", "number", "status"),
    [("loky", signal.SIGINT, 130), ("dask", signal.SIGINT, 130), ("loky", signal.SIGTERM, 143)],
)
def test_signals_while_workers_start_leave_no_traceback(backend, number, status, tmp_path) -> None:
    command = [*BUILD, "--out", str(tmp_path / "b"), "--backend", backend, "--jobs", "2"]
    command[command.index("16")] = "400"
    moments = (3.0, 0.2) if number == signal.SIGINT else (3.0,)
    found, error = interrupted(command, *moments, number=number)
    assert "Traceback" not in error
    assert found == status
    assert error.count("\n") == 1
