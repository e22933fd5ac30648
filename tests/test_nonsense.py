"""Nonsense on a command line gives one line and status 2, before anything is done."""

import argparse
import contextlib
import importlib
import io

import pytest
from every_command import COMMANDS, every_option

from gp_emq.command import exit_status
from gp_emq.outputs import OutputFile, OutputFolder

NUMBERS = ("nan", "inf", "-inf", "1e400", "-1", "", "x", "0x10", "1_0", "٣", "9" * 400, "\0")
"""None of them is a sensible number of anything, but for seeds and exponents."""

NAMES = ("", "\0", "no such thing", "a" * 5000, "ü\udcff", "../..", "-")

OPTIONS = [
    pytest.param(module, words, action, id=f"{module} {words} {action.dest}")
    for module, words, action in every_option()
    # Files to write may have any name; see test_outputs.
    if action.nargs != 0 and not isinstance(action.type, OutputFile | OutputFolder)
]

NEEDED = {
    "build": ["--network", "digits", "--out", "/dev/null/no/bench"],
    "uniform": ["--network", "no such network"],
    "import": ["no such file", "--out", "/dev/null/no/bench"],
    "extend": ["no such bench", "--from", "mse"],
}
"""Of `gp_emq.bench`; nothing of it can be done, whatever else is given."""

IMPOSSIBLE = {
    "gp_emq.run": ["--bench", "no such bench"],
    "gp_emq.rank": ["--bench", "no such bench"],
    "gp_emq.ablate": ["--config", "no such study"],
    "gp_emq.allocate": ["--proxy", "fit", "--network", "no such network", "--average-bits", "3"],
    "gp_emq.profile": ["--network", "no such network"],
    "gp_emq.quantize": ["--plan", "no such plan"],
    "gp_emq.qat.__main__": ["--bits", "4", "--network", "no such network"],
    "gp_emq.networks.train_zoo": ["no such network"],
}
"""What makes a command fail soon even if the value in question is taken."""


def line_of(module: str, words: str, action: argparse.Action, value: str) -> list[str]:
    """A command line that gives one option a value."""
    given = [action.option_strings[-1], value] if action.option_strings else [value]
    if module == "gp_emq.bench":
        positional = [] if action.option_strings else given
        rest = NEEDED.get(words, [] if positional else ["no such bench"])
        if positional and words in ("import", "extend"):
            rest = rest[1:]
        return [words, *rest, *given]
    if module.startswith("analysis.") or module == "gp_emq.watch":
        return ["no such run", *given] if action.option_strings else given
    return [*IMPOSSIBLE[module], *given]


@pytest.mark.parametrize(("module", "words", "action"), OPTIONS)
def test_every_option_refuses_nonsense_in_one_line(
    module, words, action, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GP_EMQ_DATA", raising=False)
    command = importlib.import_module(module)
    for value in dict.fromkeys((*NUMBERS, *NAMES)):
        out, err = io.StringIO(), io.StringIO()
        line = line_of(module, words, action, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = exit_status(lambda line=line: command.main(line))
        assert (status, out.getvalue()) == (2, ""), line
        assert err.getvalue().startswith("error: "), line
        assert err.getvalue().count("\n") == 1, line
    assert list(tmp_path.iterdir()) == []


def test_every_command_is_walked() -> None:
    walked = {param.values[0] for param in OPTIONS}
    assert walked == set(COMMANDS) - {"gp_emq.networks.train_digits"}
