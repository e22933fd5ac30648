"""What needs nothing computed imports nothing slow, and all commands are one script's."""

import subprocess
import sys

import pytest

from gp_emq.cli import COMMANDS
from gp_emq.cli._console import main
from gp_emq.errors import GpEmqError
from gp_emq.evolution import SELECTION_NAMES, SELECTIONS

SLOW = ("torch", "torchvision", "scipy", "matplotlib", "deap", "joblib", "dask")
SCRIPT = f"""
import sys
from gp_emq.cli._console import main
from gp_emq.command import exit_status
status = exit_status(lambda: main(sys.argv[1:]))
found = [name for name in {SLOW} if name in sys.modules]
sys.stderr.write(f"{{status}} {{found}}")
"""


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("--help", 0),
        ("nonsense", 2),
        ("run --help", 0),
        ("run --list-benches", 0),
        ("run --list-primitives", 0),
        ("run --nonsense", 2),
        ("run --pop none", 2),
        ("rank --help", 0),
        ("rank --list-proxies", 0),
        ("rank --nonsense", 2),
        ("rank --bench digits digits", 2),
        ("quantize --help", 0),
        ("quantize --list-methods", 0),
        ("quantize --nonsense", 2),
        ("quantize", 2),
        ("quantize --plan p --iterations 3", 2),
        ("bench --help", 0),
        ("bench nonsense", 2),
        ("bench build --help", 0),
        ("bench build --nonsense", 2),
        ("bench build --out x", 2),
        ("bench build --network digits --bits 9 --out x", 2),
        ("bench extend --help", 0),
        ("bench zoo --help", 0),
        ("bench zoo --list", 0),
        ("bench zoo no-such-bench --list", 2),
        ("bench import --help", 0),
        ("report --help", 0),
        ("report", 2),
        ("report no-such-run", 2),
        ("report --nonsense", 2),
        ("qat --help", 0),
        ("qat --list-recipes", 0),
        ("qat --nonsense", 2),
        ("qat --bits 4", 2),
        ("qat --network digits --bits 4 --epochs 0", 2),
        ("quantize --plan p --method brecq rtn --out x", 2),
    ],
)
def test_what_computes_nothing_imports_nothing_slow(line: str, status: int) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, *line.split()], capture_output=True, text=True, check=True
    )
    assert found.stderr.splitlines()[-1].endswith(f"{status} []")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_one_of_the_script(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("line", [[], ["nonsense"]])
def test_no_command_or_an_unknown_one_is_refused(line: list[str]) -> None:
    with pytest.raises(
        GpEmqError, match="run, ablate, rank, bench, allocate, quantize, qat, report"
    ):
        main(line)


def test_the_selections_are_those_named() -> None:
    assert tuple(SELECTIONS) == SELECTION_NAMES
