"""A user's own set is one Python file, and what is wrong with it is one clear line."""

import pytest

from gp_emq.errors import PrimitiveSetError
from primitives import load_primitive_set

TEN_LINES = """
from primitives import PrimitiveSet

def build():
    return PrimitiveSet(
        "mine", "what quantization does to the weights, and how much the loss feels it",
        statistics=["fisher_diagonal", "quantization_perturbation"],
        operators=["multiply", "square", "sum", "log", "add"],
    )
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return written


def refusal(name: str) -> str:
    with pytest.raises(PrimitiveSetError) as caught:
        load_primitive_set(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_of_ten_lines_is_a_set(write) -> None:
    mine = load_primitive_set(write(TEN_LINES))
    assert mine.name == "mine"
    assert mine.needs == ("fisher_diagonal", "perturbation")
    assert mine.operator_names == ("multiply", "square", "sum", "log", "add")


def test_a_file_is_read_again_each_time(write) -> None:
    path = write(TEN_LINES)
    load_primitive_set(path)
    write(TEN_LINES.replace(', "add"', ""))
    assert "add" not in load_primitive_set(path).operator_names


def test_a_file_may_hold_classes_that_know_their_module(write) -> None:
    header = (
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "@dataclasses.dataclass\n"
        "class Own:\n"
        "    size: int\n"
    )
    assert load_primitive_set(write(header + TEN_LINES)).name == "mine"


def test_an_unknown_name_is_told_the_known_ones() -> None:
    message = refusal("bit_awar")
    assert "unknown primitive set 'bit_awar'" in message
    assert "bit_aware, branched, dag" in message


@pytest.mark.parametrize("name", ["_groups", "../primitives", "deap.gp", ""])
def test_nothing_but_sets_can_be_named(name) -> None:
    assert "unknown primitive set" in refusal(name)


def test_a_file_that_is_not_there(tmp_path) -> None:
    assert "no primitive set file" in refusal(str(tmp_path / "absent.py"))


def test_a_file_that_is_no_python(write) -> None:
    assert "fails to load: SyntaxError" in refusal(write("def build(:"))


def test_a_file_that_raises(write) -> None:
    message = refusal(write("raise RuntimeError('first line\\nsecond line')"))
    assert "fails to load: RuntimeError: first line second line" in message


def test_a_file_without_build(write) -> None:
    assert "has no function build()" in refusal(write("x = 1"))


def test_a_build_that_raises(write) -> None:
    message = refusal(write("def build():\n    return {}['missing']"))
    assert "build() of primitive set" in message
    assert "fails: KeyError: 'missing'" in message


def test_a_build_that_gives_something_else(write) -> None:
    assert "gives a list, not a PrimitiveSet" in refusal(write("def build():\n    return []"))


def test_a_build_that_asks_for_what_there_is_not(write) -> None:
    message = refusal(write(TEN_LINES.replace('"log"', '"logarithm"')))
    assert "unknown operator 'logarithm'" in message


def test_a_set_without_terminals_of_a_needed_type(write) -> None:
    without = TEN_LINES.replace('"fisher_diagonal", "quantization_perturbation"', '"depth"')
    assert "'sum' has nothing to act on" in refusal(write(without))
