"""The page of all primitives is what the records say."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from synthetic import synthetic_statistics

from gp_emq.errors import RunError
from gp_emq.proxies import Evaluator, language, parse_expression, to_formula
from gp_emq.proxies._canonical import canonical_form
from primitives import OPERATORS, STATISTICS, Operator, PrimitiveSet, Role
from primitives.__main__ import PAGE, main
from primitives._page import BEGIN, END, filled


def test_the_page_is_what_the_records_say(tmp_path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    assert main([str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), (
        "run python -m primitives"
    )


def test_the_page_lists_every_primitive_once_with_its_signatures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    tables = page[page.index(BEGIN) : page.index(END)]
    rows = re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)
    assert sorted(rows) == sorted([*OPERATORS, *STATISTICS])
    listed = set()
    for section in tables.split("\n### ")[1:]:
        signatures = re.findall(r"^- `(.*) → (\w+)`$", section, re.MULTILINE)
        for name in re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE):
            listed |= {(name, *arguments.split(" × "), result) for arguments, result in signatures}
    assert listed == {
        (o.operator.name, *(kind.__name__ for kind in o.arguments), o.result.__name__)
        for o in language().overloads.values()
    }


def test_an_operator_is_one_record() -> None:
    """Its canonical form, evaluation, formula and row of the page follow from the record."""
    spread = Operator(
        "spread", 2, Role.ELEMENTWISE, lambda x, y: (x - y).square(), "(x − y)²",
        "({0} − {1})²", commutative=True, non_negative=True, identities=("spread(x, x) = 0",),
    )  # fmt: skip
    own = PrimitiveSet(
        "own", "with an operator of its own", statistics=["weight", "quantization_perturbation"],
        operators=[spread, "sum", "abs"],
    )  # fmt: skip
    text = "sum(abs(spread(quantization_perturbation, weight)))"
    tree = parse_expression(text, own)
    assert canonical_form(tree, own) == "sum(spread(weight, quantization_perturbation))"
    assert to_formula(tree, own) == "Σ(|(W − ΔW)²|)"
    statistics = synthetic_statistics(3)
    weight, moved = (statistics.tensor(name).double() for name in ("weight", "perturbation"))
    squares = ((weight - moved) ** 2).numpy()
    bounds = statistics.layout("Weights").entry_bounds
    expected = [squares[:, a:b].sum(1) for a, b in itertools.pairwise(bounds)]
    np.testing.assert_allclose(Evaluator(own, statistics).table(tree), expected, rtol=1e-5)
    page = filled(f"a {BEGIN} b {END} c", STATISTICS.values(), [*OPERATORS.values(), spread])
    assert "| `spread` | (x − y)² | (x − y)² | commutative, ≥ 0, `spread(x, x) = 0` |" in page
    assert page.startswith("a ")
    assert page.endswith(" c")


@pytest.mark.parametrize("text", [None, "no marks", f"{END} {BEGIN}"])
def test_a_page_that_is_none_is_refused_in_one_line(text, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    with pytest.raises(RunError, match=r"page\.md") as refused:
        main([str(page)])
    assert len(str(refused.value).splitlines()) == 1
    assert text is None or page.read_text() == text


def test_help_is_no_page(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m primitives [-h] [page]")
