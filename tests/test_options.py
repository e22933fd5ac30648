"""What the commands' options have in common."""

import pytest

from gp_emq.errors import GpEmqError
from gp_emq.options import OptionParser, one_of


def test_a_help_fills_paragraphs_and_keeps_lines_of_commands(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "    python -m gp_emq.something --with an-option and-another"
    parser = OptionParser(
        prog="it", description=f"What it does, in\na few words.\n\n    python it\n{long}\n\nMore."
    )
    said = parser.format_help().split("\n\n")
    assert said[1:4] == ["What it does, in a few words.", f"    python it\n{long}", "More."]


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (["--proxy", "fit"], "; did you mean '--proxies'? (see --help)"),
        (["--proxy=fit"], "; did you mean '--proxies'? (see --help)"),
        (["--colour", "red"], "--colour red (see --help)"),
        (["page"], "arguments: page (see --help)"),
    ],
)
def test_an_unknown_option_is_told_with_the_one_like_it(given, hint) -> None:
    parser = OptionParser(prog="it")
    parser.add_argument("--proxies")
    parser.add_argument("--bench")
    with pytest.raises(GpEmqError) as refused:
        parser.parse_args(given)
    assert str(refused.value).startswith(f"unrecognized arguments: {' '.join(given)}")
    assert str(refused.value).endswith(hint)


def test_names_of_which_there_may_be_none_are_checked_and_shown() -> None:
    parser = OptionParser(prog="it")
    parser.add_argument("names", nargs="*", type=one_of(("one", "two")), metavar="NAME")
    assert parser.parse_args([]).names == []
    assert parser.parse_args(["two", "one"]).names == ["two", "one"]
    with pytest.raises(GpEmqError, match="NAME: must be one of one, two, not 'three'"):
        parser.parse_args(["three"])
