"""What the commands' options have in common."""

from gp_emq.options import OptionParser


def test_a_help_fills_paragraphs_and_keeps_lines_of_commands(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "    python -m gp_emq.something --with an-option and-another"
    parser = OptionParser(
        prog="it", description=f"What it does, in\na few words.\n\n    python it\n{long}\n\nMore."
    )
    said = parser.format_help().split("\n\n")
    assert said[1:4] == ["What it does, in a few words.", f"    python it\n{long}", "More."]
