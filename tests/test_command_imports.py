"""What needs nothing computed imports nothing slow, and all commands are one script's."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from every_command import every_option

from gp_emq.cli import _console
from gp_emq.cli._console import COMMANDS, main
from gp_emq.errors import GpEmqError
from gp_emq.evolution import SELECTION_NAMES
from gp_emq.evolution._selection import SELECTIONS

SLOW = ("torch", "torchvision", "scipy", "matplotlib", "deap", "joblib", "dask")
SCRIPT = f"""
import json
import sys
from gp_emq.cli._console import main
from gp_emq.command import exit_status
found = {{}}
for line in json.loads(sys.argv[1]):
    status = exit_status(lambda: main(line.split()))
    found[line] = [status, [name for name in {SLOW} if name in sys.modules]]
sys.stderr.write("\\n" + json.dumps(found))
"""
LINES = {
    "": {"--help": 0, "nonsense": 2},
    "run": {
        "--help": 0, "--nonsense": 2, "--list-primitives": 0, "--list-benches": 0, "--pop none": 2,
    },
    "ablate": {"--help": 0, "--nonsense": 2},
    "rank": {"--help": 0, "--nonsense": 2, "--list-proxies": 0, "--bench digits digits": 2},
    "bench": {
        "--help": 0, "--nonsense": 2, "nonsense": 2, "build --help": 0, "build --nonsense": 2,
        "build --out x": 2, "build --network digits --bits 9 --out x": 2, "uniform --help": 0,
        "extend --help": 0, "zoo --help": 0, "zoo --list": 0, "zoo no-such-bench --list": 2,
        "show --help": 0, "list --help": 0, "import --help": 0,
    },
    "allocate": {
        "--help": 0, "--nonsense": 2, "--proxy fit": 2, "--proxy fit --sweep --measure 9": 2,
        "--proxy fit --average-bits 3 --fix conv1": 2, "--average-bits x": 2,
        "--proxy fit --pick 3": 2, "--table t --proxy fit": 2,
    },
    "profile": {
        "--help": 0, "--nonsense": 2, "--bits 9": 2, "--threads 0": 2,
        "--network digits --workload m:f": 2,
    },
    "quantize": {
        "--help": 0, "--nonsense": 2, "--list-methods": 0, "": 2, "--plan p --iterations 3": 2,
        "--plan p --method brecq rtn --out x": 2,
    },
    "qat": {
        "--help": 0, "--nonsense": 2, "--list-recipes": 0, "--bits 4": 2,
        "--network digits --bits 4 --epochs 0": 2,
    },
    "watch": {
        "--help": 0, "--nonsense": 2, "": 2, "no-such-run": 2, "no-such-run --once": 2,
        "x --interval 0": 2,
    },
    "report": {"--help": 0, "--nonsense": 2, "": 2, "no-such-run": 2},
}  # fmt: skip
"""Exit status of command lines, by command."""


@pytest.mark.slow
@pytest.mark.parametrize("command", LINES)
def test_what_computes_nothing_imports_nothing_slow(command: str) -> None:
    expected = {f"{command} {line}".strip(): [code, []] for line, code in LINES[command].items()}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(list(expected))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stderr.splitlines()[-1]) == expected


def test_every_command_and_every_list_is_held_to_it() -> None:
    assert set(LINES) - {""} == set(COMMANDS)
    assert all({"--help", "--nonsense"} <= set(LINES[command]) for command in COMMANDS)
    names = {command.module: name for name, command in COMMANDS.items()}
    lists = {
        (names[module], f"{words} {option}".strip())
        for module, words, action in every_option()
        for option in action.option_strings
        if option.startswith("--list") and module in names
    }
    assert len(lists) >= 6
    assert all(line in LINES[command] for command, line in lists)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_one_of_the_script(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("line", [[], ["nonsense"]])
def test_no_command_or_an_unknown_one_is_refused(line: list[str]) -> None:
    with pytest.raises(
        GpEmqError, match="run, ablate, rank, bench, allocate, profile, quantize, qat, watch"
    ):
        main(line)


def test_the_script_finds_modules_of_the_folder_it_is_called_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_this_folder.py").write_text("here = True\n")
    (tmp_path / "json.py").write_text("raise ImportError('json is Python's own')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "json")
    ran = []
    monkeypatch.setattr(_console, "run_command", ran.append)
    _console.console()
    assert ran == [main]
    assert importlib.import_module("of_this_folder").here
    # After all others: nothing takes the place of what is installed.
    assert importlib.import_module("json").loads("1") == 1


def test_the_selections_are_those_named() -> None:
    assert tuple(SELECTIONS) == SELECTION_NAMES
