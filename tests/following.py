"""Follows a page: writes its files, runs its Python and its commands, from top to bottom."""

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w-]+\.(?:py|toml))\n")


def commands(text: str) -> list[list[str]]:
    """The command lines of a block, each as its words."""
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines() if line]


@contextmanager
def followed(page: str, folder: Path) -> Iterator[tuple[dict[str, object], list[str]]]:
    """Give the names and the outputs of somebody who followed a page in a folder.

    Args:
        page: Name of its file in docs/.
        folder: Where to be.
    """
    names: dict[str, object] = {}
    outputs: list[str] = []
    modules: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        torch.manual_seed(0)
        for kind, text in BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
            named = NAMED.match(text)
            if named is not None:
                Path(named[1]).write_text(text)
                modules.append(Path(named[1]).stem)
            elif kind == "python":
                exec(compile(text, page, "exec"), names)  # noqa: S102 - our own page
            else:
                assert kind == "sh"
                for words in commands(text):
                    assert words[:2] == ["python", "-m"]
                    outputs.append(said(words[2], words[3:]))
    yield names, outputs
    for name in modules:
        sys.modules.pop(name, None)


def said(module: str, words: list[str]) -> str:
    """Run a command, which has to succeed, and give what it says."""
    found = importlib.import_module(module)
    main = found if hasattr(found, "main") else importlib.import_module(f"{module}.__main__")
    heard: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stdout, "write", heard.append)
        try:
            status = main.main(words)
        except SystemExit as end:  # what only lists something ends so
            status = end.code
    assert not status, (module, words)
    return "".join(heard)
