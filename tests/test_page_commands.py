"""Every command on a page is one that its program takes: it is read, and not run."""

import argparse
import importlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import page_commands
import pytest
from every_command import actions_of, every_option, parser_of

from gp_emq.cli._console import COMMANDS
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import list_benches
from gp_emq.networks import network_specifications
from gp_emq.proxies.handcrafted import ALIASES, HANDCRAFTED, RANKING
from gp_emq.proxies.shipped import WHOLE, shipped_files
from gp_emq.quantization.recipes import list_recipes
from primitives import primitive_set_names

ROOT = page_commands.ROOT
MAINS = {"gp_emq": "gp_emq.cli._console"}
PACKAGES = (
    "gp_emq.qat",
    "benchmarks",
    "benchmarks.peers",
    "benchmarks.real_models",
    "tests.soak",
    "tests.fuzz",
    "primitives",
)
UNREAD = {"gp_emq.farm._dask_worker"}
"""Modules without a parser: the words after them are what the package itself says."""
STANDS_FOR_A_NUMBER = {"N", "K"}
OF_THE_SYSTEM = {"export", "ip", "kill", "wait", "cmp", "for", "do", "done", ".", "n=0", "n=$", "n"}
"""What a shell and Linux have: `bash -n` reads these, and nothing else does."""

NETWORKS = {network.name for network in network_specifications()}
MAKE, BASH = shutil.which("make"), shutil.which("bash")

PROXIES = {*HANDCRAFTED, *RANKING, *ALIASES, *shipped_files(), *WHOLE, "all"}
METHODS = {*(recipe.name for recipe in list_recipes()), "qat"}
NAMES = {
    "bench": set(list_benches()),
    "validate_on": set(list_benches()),
    "primitives": set(primitive_set_names()),
    "network": NETWORKS,
    "proxy": PROXIES,
    "proxies": PROXIES,
    "baselines": {*PROXIES, "uniform"},
    "method": METHODS,
    "methods": METHODS | {"usual", "learned"},
    "measure_method": METHODS,
    "recipe": {path.stem for path in (ROOT / "gp_emq" / "qat" / "recipes").glob("*.toml")},
    "only": {*NETWORKS, *(name.partition("-rtn")[0] for name in list_benches())},
}
"""Values that no parser checks, since files and modules are as good; by the option's name."""


class _ReadError(Exception):
    """Carries what a parser has read out of its command."""


def read(module: str, words: list[str]) -> argparse.Namespace | None:
    """Give what a command reads of its words, or None if they let it only list something."""
    plain = argparse.ArgumentParser.parse_args

    def take(self, args=None, namespace=None):
        found = plain(self, args, namespace)
        if self.prog.startswith("python -m"):
            raise _ReadError(found)
        return found

    where = f"{module}.__main__" if module in PACKAGES else MAINS.get(module, module)
    main = importlib.import_module(where).main
    with (
        mock.patch("argparse.ArgumentParser.parse_args", take),
        mock.patch("sys.argv", [module, *words]),
    ):
        try:
            main() if module == "tests.soak" else main(words)
        except _ReadError as told:
            return told.args[0]
        except SystemExit as end:
            if not end.code:
                return None
            raise
    raise AssertionError(f"{module} does not read its words")


def unknown_names(found: argparse.Namespace) -> set[str]:
    """The names among a command's values that nothing has, and that are no files or modules."""
    unknown: set[str] = set()
    for option, known in NAMES.items():
        value = getattr(found, option, None) or []
        given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        names = {name for text in map(str, given) for name in text.split(",")}
        unknown |= {name for name in names - known if not re.search(r"[./:(]", name)}
    bits = getattr(found, "bits", None)
    if isinstance(bits, str) and not re.fullmatch(r"\d+(,\d+)*", bits):
        unknown.add(bits)
    return unknown


def module_and_words(words: list[str]) -> tuple[str, list[str]] | None:
    """The module of this project that a command runs, with the words for it."""
    if words[0] == "gp_emq":
        return COMMANDS[words[1]].module, words[2:]
    if words[0] in {"python", "python3", "torchrun"} and "-m" in words:
        at = words.index("-m")
        if words[at + 1].split(".")[0] in {
            "gp_emq",
            "analysis",
            "benchmarks",
            "primitives",
            "tests",
        }:
            return words[at + 1], words[at + 2 :]
    return None


def check_ours(place: str, words: list[str], *, whole: bool) -> bool:
    """Check a command of this project; whether it is one."""
    ours = module_and_words(words)
    if ours is None:
        return False
    module, rest = ours
    if module in UNREAD or not (rest or whole):  # a name in a text, and no command to give
        assert importlib.util.find_spec(module.removesuffix(".__main__")), place
        return True
    try:
        found = read(
            module.removesuffix(".__main__"),
            ["1" if word in STANDS_FOR_A_NUMBER else word for word in rest],
        )
    except GpEmqError as error:
        pytest.fail(f"{place}: {' '.join(words)}: {error}")
    assert found is None or not unknown_names(found), f"{place}: {' '.join(words)}"
    return True


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the folders that pages write into, and the project's studies."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(words: list[str]) -> None:
    """Check a call of make: it has the target, and the variables are those that it reads."""
    variables = set(re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word.partition("=")[0] for word in words[1:] if "=" in word} <= variables, words
    if MAKE:
        dry = subprocess.run([MAKE, "-n", *words[1:]], cwd=ROOT, capture_output=True, check=False)
        assert dry.returncode == 0, dry.stderr


def installed(words: list[str]) -> None:
    """Check a call of pip: the extras and the file of versions that it names are there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
    assert {extra for text in extras for extra in text.split(",")} <= {
        *project["optional-dependencies"]
    }, words
    words = [words[0], *words[3:]] if words[1] == "--python" else words
    if "-c" in words:
        assert (ROOT / words[words.index("-c") + 1]).is_file(), words
    assert words[1] in {"install", "wheel"}, words


def clustered(words: list[str]) -> None:
    """Check a call of dask by its own parser."""
    pytest.importorskip("distributed")
    module = importlib.import_module(f"distributed.cli.dask_{words[1]}")
    module.main.make_context(f"dask {words[1]}", list(words[2:]))


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "make": made,
    "pip": installed,
    "dask": clustered,
    "python3": lambda words: importlib.import_module(words[2]),
}


def test_every_command_of_a_block_is_taken(somewhere: Path) -> None:
    count = 0
    for place, words in page_commands.shown_in_blocks():
        if not check_ours(place, words, whole=True):
            assert words[0] in CHECKS or words[0] in OF_THE_SYSTEM, f"{place}: {words}"
            CHECKS.get(words[0], lambda words: None)(words)
        count += 1
    assert count > 80


def test_every_command_in_a_text_is_taken(somewhere: Path) -> None:
    count = 0
    for place, words in page_commands.shown_in_text():
        if not check_ours(place, words, whole=False):
            CHECKS[words[0]](words)
        count += 1
    assert count > 60


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_a_shell_can_read_every_block() -> None:
    blocks = [block for path in page_commands.PAGES for block in page_commands.shell_blocks(path)]
    for block in blocks:
        text = re.sub(r" \[.*?\]|=\.\.\.", "", block.text)
        parsed = subprocess.run(
            [BASH, "-n"], input=text, text=True, capture_output=True, check=False
        )
        assert (parsed.returncode, parsed.stderr) == (0, ""), block
    texts = "\n".join(block.text for block in blocks)
    for path in page_commands.PAGES:
        for _, block in page_commands.indented_blocks(path.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if re.match(r"(python3? -m|gp_emq|make) ", line):
                    assert line in texts, f"{path.name}: {line}"


def test_every_option_in_a_text_is_there() -> None:
    actions = [action for _, _, action in every_option()]
    for module in (
        "benchmarks.__main__",
        "benchmarks.plans",
        "benchmarks.zoo",
        "tests.fuzz.__main__",
    ):
        actions += [action for _, action in actions_of(parser_of(module))]
    known = {option for action in actions for option in action.option_strings}
    for path in page_commands.PAGES:
        for code in page_commands.inline_code(path):
            if not re.match(r"(python -m|ray|mypy) ", code.text):  # read whole, or not ours
                named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", code.text))
                assert named <= known, f"{code.place}: {code.text}"


def test_every_block_is_of_a_kind_that_something_reads() -> None:
    readers = {"json": json.loads, "toml": tomllib.loads}
    others = {"python", "sh", "{eval-rst}", "{toctree}", "{sphinx_argparse_cli}"}  # tests run these
    for path in page_commands.PAGES:
        for found in page_commands.FENCE.finditer(path.read_text(encoding="utf-8")):
            if found[1] in readers:
                assert readers[found[1]](found[2]), path.name
            else:
                assert found[1] in others, f"{path.name}: {found[1]}"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("python -m gp_emq.run --generations 3", "unrecognized arguments"),
        ("gp_emq rank --split tests", "invalid choice"),
        (
            "python -m gp_emq.bench build --network digits --bits x --protocol rtn --out a",
            "--bits x",
        ),
        ("python -m gp_emq.allocate --proxy fitt --average-bits 3", "fitt"),
        ("python -m gp_emq.allocate --proxy fit --average-bits three", "three"),
        ("python -m gp_emq.report RUN", "report"),
    ],
)
def test_a_wrong_command_is_found(somewhere: Path, wrong: str, why: str) -> None:
    (words,) = page_commands.command_lines(wrong)
    with pytest.raises((pytest.fail.Exception, AssertionError, ModuleNotFoundError), match=why):
        check_ours("here", words, whole=True)


def test_commands_are_found_where_pages_have_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "One `gp_emq watch\nRUN` and:\n\n    make run  # why\n"
        "    A=1 pip wheel . && gp_emq run \\\n        --gens 3\n\nwhich says\n\n"
        "    float  98 %\n\n```sh\ngp_emq report RUN [RUN ...]\n```\n"
    )
    blocks = [page_commands.command_lines(block.text) for block in page_commands.shell_blocks(page)]
    assert blocks == [
        [["gp_emq", "report", "RUN"]],
        [["make", "run"], ["pip", "wheel", "."], ["gp_emq", "run", "--gens", "3"]],
    ]
    assert [code.text for code in page_commands.inline_code(page)] == ["gp_emq watch RUN"]
