"""Where commands write: checked before any work, regular files alone, whole or not at all."""

import argparse
import importlib
import os
import re
import socket
from pathlib import Path

import pytest
from every_command import COMMANDS, every_option
from matplotlib.figure import Figure

from analysis import _style
from analysis.bench import write_bench_figure
from gp_emq.errors import RunError
from gp_emq.files import atomic_write_bytes
from gp_emq.mqbench import load_bench
from gp_emq.options import OptionParser
from gp_emq.outputs import PICTURES, OutputFile, OutputFolder, check_outputs

ROOT = Path(__file__).parents[1]
READ = {
    "bench", "config", "cost", "data", "file", "from_sweep", "latency_table", "plan", "resume",
    "run", "table", "test_data", "weights",
}  # fmt: skip
"""Options that name what is read; `--resume` is checked by whoever opens the run."""

WRITTEN = [
    pytest.param(module, words, action, id=f"{module} {words} {action.dest}")
    for module, words, action in every_option()
    if isinstance(action.type, OutputFile | OutputFolder)
]


def test_every_option_that_names_a_path_is_read_or_checked() -> None:
    unknown = {
        f"{module} {words} {action.dest}"
        for module, words, action in every_option()
        if action.type is Path and action.dest not in READ
    }
    assert unknown == set()
    names = {(param.values[0], param.values[2].dest) for param in WRITTEN}
    assert names >= {
        ("gp_emq.run", "out"), ("gp_emq.rank", "plot"), ("gp_emq.bench", "plot"),
        ("gp_emq.bench", "out"), ("gp_emq.allocate", "out"), ("gp_emq.quantize", "out"),
        ("gp_emq.quantize", "packed"), ("gp_emq.quantize", "onnx"), ("gp_emq.qat.__main__", "out"),
        ("analysis.report", "out"), ("analysis.convergence", "out"),
    }  # fmt: skip


def test_every_command_there_is_is_held_to_it() -> None:
    found = set()
    for path in [*(ROOT / "gp_emq").rglob("*.py"), *(ROOT / "analysis").rglob("*.py")]:
        if re.search(r"^    run_command\(main\)$", path.read_text(), re.MULTILINE):
            found.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    # The console script hands its arguments to one of the others.
    assert found - {"gp_emq.cli._console"} == set(COMMANDS)


@pytest.fixture
def things(tmp_path: Path):
    """What no file may be written over, by name; every one is as it was at the end."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/null")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.png"))
    (tmp_path / "plain").write_text("kept")
    before = {path.name: os.lstat(path) for path in tmp_path.iterdir()}
    yield tmp_path
    server.close()
    after = {path.name: os.lstat(path) for path in tmp_path.iterdir()}
    assert {name: (s.st_ino, s.st_mode) for name, s in after.items()} == {
        name: (s.st_ino, s.st_mode) for name, s in before.items()
    }


@pytest.mark.parametrize(("module", "words", "action"), WRITTEN)
def test_what_cannot_be_written_is_refused_before_any_work(module, words, action, things) -> None:
    wrong: list[str | Path] = [things / "plain" / "x", "/dev/null/x", "a\0b"]
    if isinstance(action.type, OutputFile):
        wrong += ["/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", things / "no" / "x"]
        wrong += [things / f"{name}.png" for name in ("pipe", "folder", "device", "socket")]
        wrong += [things / "x.xyz", things / "x"] if action.type.suffixes else []
    else:
        wrong += ["/dev/null", things / "pipe.png", things / "device.png" / "x"]
    for path in wrong:
        given = argparse.Namespace(**{action.dest: action.type(str(path))})
        with pytest.raises(RunError) as refused:
            check_outputs([action], given)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["gp_emq.bench", "show", "digits", "--plot", "x.xyz"],
        ["gp_emq.bench", "show", "digits", "--plot", "folder.png"],
        ["gp_emq.allocate", "--proxy", "fit", "--average-bits", "3", "--out", "folder.png"],
        ["gp_emq.rank", "--plot", "plain"],
        ["analysis.report", "run", "--out", "pipe.png"],
    ],
)
def test_nothing_is_printed_before_it_is_refused(arguments, things, monkeypatch, capsys) -> None:
    monkeypatch.chdir(things)
    module, *rest = arguments
    with pytest.raises(RunError):
        importlib.import_module(module).main(rest)
    assert capsys.readouterr() == ("", "")


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch) -> None:
    # Not by its mode: whoever runs the tests as root may write anywhere.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for kind, path in ((OutputFile(), tmp_path / "x"), (OutputFolder(), tmp_path / "a" / "b")):
        with pytest.raises(RunError, match=f"the folder {tmp_path} cannot be written"):
            kind.check(path)


def parser() -> OptionParser:
    made = OptionParser()
    for name in ("--out", "--packed"):
        made.add_argument(name, type=OutputFile())
    made.add_argument("--plan", type=Path)
    return made


def test_no_two_options_write_one_file_and_none_writes_what_another_reads(tmp_path) -> None:
    (tmp_path / "a").write_text("plan")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(RunError, match=r"--out and --packed both name"):
        parser().parse_args(["--out", str(tmp_path / "a"), "--packed", str(tmp_path / "b")])
    with pytest.raises(RunError, match=r"--out would write over .*, which --plan reads"):
        parser().parse_args(["--out", str(tmp_path / "b"), "--plan", str(tmp_path / "a")])
    parser().parse_args(["--out", str(tmp_path / "c"), "--plan", str(tmp_path / "a")])


def test_a_link_to_a_file_stays_one(tmp_path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    atomic_write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("name", ["pipe.png", "folder.png", "device.png", "socket.png"])
def test_the_library_replaces_nothing_but_files_either(name, things) -> None:
    with pytest.raises(RunError, match="cannot write"):
        atomic_write_bytes(things / name, b"gone")
    with pytest.raises(RunError, match="cannot write"):
        write_bench_figure(load_bench("digits"), things / name)


def test_every_ending_of_pictures_can_be_drawn() -> None:
    assert {ending[1:] for ending in PICTURES} <= set(Figure().canvas.get_supported_filetypes()) - {
        "pgf",
        "raw",
        "rgba",
    }


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_figures_are_whole_or_not_there(tmp_path, monkeypatch, fault) -> None:
    def fail(self, target) -> None:
        raise fault

    figure = _style.new_figure(2.0, 1.0)
    _style.save(figure, tmp_path, "x")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"x.png", "x.svg"}
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((RunError, KeyboardInterrupt)):
        _style.save(_style.new_figure(3.0, 2.0), tmp_path, "x")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
