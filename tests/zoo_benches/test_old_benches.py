"""Benches of before embeddings and attention were layers know fewer than their networks have."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gp_emq.bench import main as bench
from gp_emq.command import exit_status
from gp_emq.errors import BenchError
from gp_emq.mqbench import read_bench, write_bench
from gp_emq.mqbench._bench import check_layers
from gp_emq.networks import load_inputs
from gp_emq.rank import main as rank
from gp_emq.run import main as run

NAME = "own_workloads:words"
BUILD = [
    "build", "--workload", NAME, "--configs", "6", "--calibration-images", "8", "--bits", "2,4,8",
    "--protocol", "rtn", "--arithmetic", "float", "--jobs", "1", "--quiet", "--out",
]  # fmt: skip


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench of the linear layers alone, as it would have been before."""
    path = tmp_path_factory.mktemp("old") / "words.safetensors"
    assert bench([*BUILD, str(path)]) == 0
    built = read_bench(path)
    assert built.layers == ("read", "middle", "write")
    assert built.entries == ((0, 2), (1,))  # read and write have one weight
    columns = built.configurations[:, ::-1].copy()
    before = replace(
        built, layers=("middle", "write"), entries=((0,), (1,)), configurations=columns
    )
    write_bench(before, path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (rank, ["--proxies", "mse", "--no-cache", "--bench"]),
        (run, ["--gens", "1", "--pop", "6", "--quiet", "--out", "run", "--bench"]),
        (bench, ["extend", "--from", "mse", "--quiet", "--jobs", "1", "--out", "longer", "FILE"]),
        (bench, ["show", "--plot", "sizes.svg", "FILE"]),
        (bench, BUILD),
    ],
    ids=["rank", "run", "extend", "show", "build"],
)
def test_commands_say_which_layers_a_bench_does_not_know(
    command: Callable[[list[str]], int], line: list[str], old: Path, here: Path, capsys
) -> None:
    kept = old.read_bytes()
    words = [word for word in line if word != "FILE"]
    words = [words[0], str(old), *words[1:]] if "FILE" in line else [*words, str(old)]
    words += [] if NAME in words else ["--workload", NAME]
    assert exit_status(lambda: command(words)) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "the bench does not know read (Embedding); they stayed in float" in said
    assert "build it anew" in said
    assert old.read_bytes() == kept
    assert list(here.iterdir()) == []


def test_other_differences_are_named(old: Path) -> None:
    layers, found = load_inputs(None, workload=NAME).network.layers, read_bench(old)
    for changed, message in {
        replace(found, layers=("middle", "writing")): "the network lacks writing; the bench does "
        r"not know read .Embedding., write .Linear.$",
        replace(found, layers=("write", "middle")): "does not know read",
    }.items():
        with pytest.raises(BenchError, match=message):
            check_layers(changed, layers, NAME)
    tied = replace(found, layers=("read", "middle", "write"), entries=((0, 1), (2,)))
    with pytest.raises(BenchError, match="in another order, or tied otherwise"):
        check_layers(tied, layers, NAME)
