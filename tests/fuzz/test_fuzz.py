"""Files of every kind, mutated: they read or are refused in one line, fast, in little memory."""

import ast
import pickle
import sys
import time
from pathlib import Path

import pytest

from gp_emq.errors import GpEmqError

from . import _harness
from ._harness import LONGEST_MESSAGE, Figures, Fuzzer, fuzz
from ._scratch import scratch
from ._target import Target
from ._targets import TARGETS

ROOT = Path(__file__).parents[2]

_CALLS = {
    "read_bytes", "read_text", "read_rows", "read_document", "read_toml", "read_tensors",
    "parse_tensors", "read_npz", "open_array", "load_checkpoint_file", "read_image", "read_entry",
    "open_entry", "decode_document", "decode_toml", "safe_open", "load_file", "check_pickle",
    "_PlainUnpickler", "memmap", "genops", "read_array", "fromfile", "frombuffer",
}  # fmt: skip
"""Functions, whatever they are imported from, that read what someone wrote."""
_OF_MODULES = {
    ("json", "load"), ("json", "loads"), ("np", "load"), ("torch", "load"), ("csv", "reader"),
    ("csv", "DictReader"), ("sqlite3", "connect"), ("Image", "open"), ("pickle", "load"),
    ("pickle", "loads"), ("tomllib", "load"), ("tomllib", "loads"), ("json", "decode"),
    ("toml", "decode"), ("torch", "load"), ("zipfile", "ZipFile"), ("joblib", "load"),
}  # fmt: skip

NO_TARGET = {
    "gp_emq.files._code:_read": "reads the source of the package itself",
    "gp_emq.files._literals:literal_calls": "reads the source of the package itself",
    "gp_emq.files._code:_sources": "reads a stub of the package itself",
    "gp_emq.profiling._processor:processor": "reads what Linux says of the processor",
    "gp_emq.qat._recipes:recipe_values": "reads a recipe of the package itself",
    "gp_emq.store._database:create_database": "opens the database that it has just made",
    "gp_emq.store._database:_copy": "copies a database that was checked into memory",
    "gp_emq.files._pickles:check_pickles": "is check_pickle, several times",
    "gp_emq.allocation._quiet:quiet_output": "opens the null device",
    "gp_emq.networks.train_zoo:_Training.resume": "opens what the target checkpoint does",
    "gp_emq.networks._weights:file_sha256": "reads bytes, whatever they are",
    "primitives.__main__:main": "reads the page of the documentation that it writes",
    "gp_emq.networks._imagenet:read_imagenet": "calls read_image for every picture of a list",
    "analysis.reporting._page:_asset": "reads a style or script of the package itself",
}
"""Functions that read, but nothing that a user hands in, or under another name."""


def _qualified(tree: ast.Module) -> list[tuple[str, ast.AST]]:
    """Give the functions of a module with the names of the classes around them."""
    found: list[tuple[str, ast.AST]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef):
                found.append((f"{prefix}{child.name}", child))

    visit(tree, "")
    return found


def _reads(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in _CALLS or function.id == "open"
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    last = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    if function.attr == "open":
        modes = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        return last in {"path", "source", "labels", "file"} and "wb" not in modes
    return (last, function.attr) in _OF_MODULES or function.attr in _CALLS


def _readers() -> set[str]:
    """Find the functions of the packages that read files, or what is in them."""
    found = set()
    for package in ("gp_emq", "analysis", "primitives"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for name, function in _qualified(ast.parse(path.read_text())):
                calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
                if any(_reads(call) for call in calls):
                    found.add(f"{module}:{name}")
    return found


def test_every_reader_has_a_target() -> None:
    covered = {reader for target in TARGETS for reader in target.readers}
    assert _readers() - covered - set(NO_TARGET) == set()


@pytest.fixture(scope="module")
def folder():
    with scratch() as made:
        yield made


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_target_reaches_the_readers_that_it_names(target: Target, folder: Path) -> None:
    fuzzer = Fuzzer(target, folder)
    called = set()

    def note(frame, event, _argument):
        if event == "call":
            name = frame.f_globals.get("__name__", "")
            called.add(f"{name}:{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        fuzzer.read_valid()
    finally:
        sys.setprofile(None)
    assert set(target.readers) <= called


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_mutated_files_read_or_are_refused_in_one_line(target: Target, folder: Path) -> None:
    figures = Figures()
    fuzz(Fuzzer(target, folder), figures, target.inputs)
    assert figures.failures == []
    assert figures.inputs == figures.accepted + figures.refused == target.inputs
    if target.file not in {
        "layer.safetensors",
        "table.json",
        "answers",
        "metric",
    }:  # where a damaged one is none
        assert figures.refused > figures.inputs // 10


class CarelessError(GpEmqError):
    """An error that lets its message be whatever it is."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


def test_the_fuzzer_itself_notices_what_it_is_for(folder: Path, monkeypatch) -> None:
    """A reader that raises, talks too much, takes too long or too much memory fails."""
    monkeypatch.setattr(_harness, "MOST_SECONDS", 0.05)
    monkeypatch.setattr(_harness, "_peak", lambda: peak)
    peak = 0.0

    def careless(path: Path) -> None:
        nonlocal peak
        match path.read_bytes():
            case b"raises":
                raise KeyError("x")
            case b"talks":
                raise CarelessError("two\nlines")
            case b"talks much":
                raise CarelessError("x" * 2000)
            case b"takes long":
                while True:
                    time.sleep(0.001)
            case b"takes much":
                peak += 600

    kinds = (b"raises", b"talks", b"talks much", b"takes long", b"takes much")
    for kind in kinds:
        target = Target(
            f"careless-{kind.decode()}",
            "file",
            lambda path: path.write_bytes(b"valid") and None,
            lambda _content, _random, kind=kind: kind,
            careless,
            (),
        )
        figures = Figures()
        fuzz(Fuzzer(target, folder), figures, 1)
        assert len(figures.failures) == 1, kind


def test_an_input_is_the_same_every_time(folder: Path) -> None:
    for target in TARGETS[:3]:
        one, other = Fuzzer(target, folder), Fuzzer(target, folder)
        assert [one.input(k) for k in range(20)] == [other.input(k) for k in range(20)]


@pytest.mark.parametrize(
    ("target", "number"),
    [("costs", 45961), ("bench", 64069), ("bench", 64218), ("bench", 73986),
     ("statistics-record", 68892), ("store", 45439), ("store-of-the-format-before", 93093)],
)  # fmt: skip
def test_what_was_found_among_a_hundred_thousand_is_refused_in_one_line(target, number, tmp_path):
    figures = Figures()
    (chosen,) = (one for one in TARGETS if one.name == target)
    Fuzzer(chosen, tmp_path).try_one(number, figures)
    assert figures.failures == []


def test_every_message_is_one_line_of_bounded_length():
    message = str(GpEmqError("one\ntwo\x01\x1b[31m three" + "x" * 10**6 + " the end"))
    assert message.startswith("one two  [31m three")
    assert message.endswith(" the end")
    assert len(message) <= LONGEST_MESSAGE
    assert message.isprintable()
    assert str(pickle.loads(pickle.dumps(GpEmqError("a\nb")))) == "a b"  # noqa: S301 - our own
