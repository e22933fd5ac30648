"""Commands on pages that need nothing but what ships are run, from the top of each page down."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import page_commands
import pytest
from following import said
from test_page_commands import module_and_words

pytestmark = pytest.mark.slow

FOLLOWED = ("guide.md", "research.md", "export.md")
"""Pages that are run whole by tests of their own."""
NOT_RUN = {
    "a study of many networks, or a training": (
        r"-m (benchmarks|tests\.fuzz|gp_emq\.ablate|gp_emq\.networks|primitives)\b"
    ),
    "a network, bench or file of the reader's": (
        r"\b(my\.module|mine\.safetensors|asymmetric\.safetensors|PTQ-GT\.pkl|path/to|FOLDER)"
    ),
    "weights and images that do not ship": (
        r"--network (resnet20|mobilenet_v2)\b|--bench (resnet20|digits resnet20)-|--weights"
        r"|--images 512|-recipe (cifar10|imagenet)-"
    ),
    "several hosts": r"--scheduler tcp:|--out here$",
    "a search of many minutes, or what is ranked by many benches": (
        r"--bench (plain|recurrent)-digits|--bench plain\.safetensors|build --network plain-digits"
        r"|build --network digits|run --gens 100$"
    ),
}
"""What commands need that this test has not: a pattern for each reason."""

SHORTER = {"--gens": 11, "--measure": 8}
"""What only makes a command longer, and at most how much of it this test takes: islands of the page
exchange after ten generations."""


def shown() -> Iterator[tuple[str, list[str]]]:
    """The project's own commands, with their pages."""
    for place, words in page_commands.shown_in_blocks():
        page = place.partition(":")[0]
        if module_and_words(words) is not None and page not in FOLLOWED:
            yield page, words


def reasons(words: list[str]) -> list[str]:
    """Why a command is not run."""
    text = " ".join(words)
    return [reason for reason, pattern in NOT_RUN.items() if re.search(pattern, text)]


def shortened(words: list[str]) -> list[str]:
    """The same command with less of what only makes it longer."""
    found = list(words)
    for option, most in SHORTER.items():
        if option in words:
            at = words.index(option) + 1
            found[at] = str(min(int(words[at]), most))
    return found


RUN = [(page, words) for page, words in shown() if not reasons(words)]
PAGES = {page: [words for _, words in found] for page, found in groupby(RUN, lambda one: one[0])}


def test_every_reason_is_that_of_a_command() -> None:
    assert {reason for _, words in shown() for reason in reasons(words)} == {*NOT_RUN}
    assert {"README.md", "allocation.md", "benches.md", "qat.md"} <= {*PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in map(shortened, PAGES[page]):
        module, rest = module_and_words(words)
        assert said(module, rest)
        made = [rest[at + 1] for at, word in enumerate(rest) if word in ("--out", "--plot")]
        assert all(Path(name).exists() for name in made), words
