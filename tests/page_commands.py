"""The commands that pages and docstrings show, as their words."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
BEGINS = re.compile(r"([A-Z]\w*=|(python3? -m|gp_emq|make|pip|dask|ray|export|ip|torchrun)\s)")
"""What the first line of an indented block of shell begins with; other blocks are outputs."""
VALUE = re.compile(r'^ *([A-Z]\w*)="([^"]*)"$', re.MULTILINE)
"""A variable of the shell, which the page's commands have as ``$NAME``."""
OURS = re.compile(
    r"(python3? -m (gp_emq|analysis|benchmarks|primitives|tests)\b|gp_emq [a-z]|make )"
)
SEPARATORS = {"&&", "||", ";", "&", "|", "(", ")", ">", "<"}


@dataclass(frozen=True)
class Shown:
    """What a page shows.

    Args:
        place: Page, and the line it begins on.
        text: As it stands there.
    """

    place: str
    text: str


def without_fences(text: str) -> str:
    """A page without its fenced blocks, of as many lines."""
    return FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)


def indented_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Indented blocks of a page, with the numbers of their first lines."""
    lines = list(enumerate(without_fences(text).splitlines(), start=1))
    runs = groupby(lines, key=lambda line: line[1].startswith("    ") or not line[1].strip())
    for indented, run in runs:
        block = list(run)
        while block and not block[0][1].strip():
            block.pop(0)
        if indented and block:
            yield block[0][0], "\n".join(line[4:] for _, line in block).rstrip() + "\n"


def shell_blocks(path: Path) -> Iterator[Shown]:
    """The blocks of a page that a shell reads."""
    text = path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        if found[1] == "sh":
            line = text[: found.start(2)].count("\n") + 1
            yield Shown(f"{path.name}:{line}", found[2])
    for line, block in indented_blocks(text):
        if BEGINS.match(block):
            yield Shown(f"{path.name}:{line}", block)


def inline_code(path: Path) -> Iterator[Shown]:
    """What stands between backticks in a page's text."""
    text = without_fences(path.read_text(encoding="utf-8"))
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    for found in INLINE.finditer(text):
        line = text[: found.start()].count("\n") + 1
        yield Shown(f"{path.name}:{line}", " ".join(found[2].split()))


def docstring_code() -> Iterator[Shown]:
    """What stands between backticks in docstrings."""
    for folder in ("gp_emq", "primitives", "analysis", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    for found in INLINE.finditer(ast.get_docstring(node) or ""):
                        place = path.relative_to(ROOT).as_posix()
                        yield Shown(place, " ".join(found[2].split()))


def command_lines(text: str) -> list[list[str]]:
    """The simple commands of a piece of shell, as their words, without what only stands for more.

    Words are dropped from ``[`` to ``]``, as in ``RUN [RUN ...]``, and so is a last ``...``.
    """
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        reader = shlex.shlex(line, posix=True, punctuation_chars=True)
        reader.whitespace_split = True
        for separates, group in groupby(list(reader), key=SEPARATORS.__contains__):
            if not separates:
                found.append(_plain(list(group)))
    return [words for words in found if words]


def _plain(words: list[str]) -> list[str]:
    kept: list[str] = []
    inside = False
    for word in words:
        inside = inside or word.startswith("[")
        if not inside:
            kept.append(word)
        inside = inside and not word.endswith("]")
    while kept and re.fullmatch(r"[A-Z_]+=.*", kept[0]):
        kept.pop(0)
    if kept[-1:] == ["..."] and not kept[-2].startswith("-"):
        kept.pop()
    return kept[4:] if kept[:3] == ["ip", "netns", "exec"] else kept


def shown_in_blocks() -> Iterator[tuple[str, list[str]]]:
    """Every command in a block of a page, with where that is."""
    for path in PAGES:
        values = dict(VALUE.findall(path.read_text(encoding="utf-8")))
        for block in shell_blocks(path):
            text = VALUE.sub("", block.text)
            for name, value in values.items():
                text = text.replace(f"${name}", value.replace("\\\n", " "))
            for words in command_lines(text):
                yield block.place, words


def shown_in_text() -> Iterator[tuple[str, list[str]]]:
    """Every command of this project in the text of a page or a docstring, with where that is."""
    inline = (code for path in PAGES for code in inline_code(path))
    docstrings = (code for code in docstring_code() if code.text.startswith("python -m "))
    for code in (*inline, *docstrings):
        if OURS.match(code.text):
            for words in command_lines(code.text):
                yield code.place, words
