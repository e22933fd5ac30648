"""What commands show on a terminal of how far they are."""

import io
import sys

import pytest

from gp_emq._progress import progress_bar, show, waiting_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_what_takes_a_while_is_said_at_once_and_taken_away(kind, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := kind())
    with waiting_for("writing small.onnx"):
        during = stream.getvalue()
    assert ("writing small.onnx" in during) == stream.isatty()
    assert stream.getvalue()[len(during) :].strip() == ""


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_bar_says_how_many_of_how_many_and_what_is_beside_it(kind, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := kind())
    with progress_bar("measuring", "plan") as bar:
        bar.mininterval = 0
        show(bar, 2, 5, "conv1")
        during = stream.getvalue()
    assert all(said in during for said in ("measuring", "2/5", "conv1")) == stream.isatty()
