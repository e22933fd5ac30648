"""The hash of the code that computes something: what changes it, and what does not."""

import importlib
import sys

import pytest

from gp_emq.files import _code, code_sha256
from gp_emq.proxies.handcrafted import HANDCRAFTED
from gp_emq.statistics import STATISTICS
from gp_emq.statistics._catalogue import INGREDIENTS
from primitives import OPERATORS


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A package with a module that uses two of three others, one through its re-exports."""
    folder = tmp_path / "toy"
    folder.mkdir()
    files = {
        "__init__": "from toy._used import helper\nfrom toy._unused import other\n",
        "_used": "def helper(x):\n    return x + 1\n",
        "_unused": "def other(x):\n    return x - 1\n",
        "_late": "NUMBER = 3\n",
        "work": (
            "from toy import helper\n\n\ndef compute(x):\n    from toy import _late\n\n"
            "    return helper(x) * _late.NUMBER\n"
        ),
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(_code, "_OURS", ("toy.",))

    def edit(name, old="", new=""):
        path = folder / f"{name}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    yield edit
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


def fresh() -> str:
    for cached in (
        code_sha256,
        _code._imported,
        _code._home,
        _code._sources,
        _code._path,
        _code._read,
    ):
        cached.cache_clear()
    importlib.invalidate_caches()
    return code_sha256("toy.work")


def test_an_edit_of_what_computes_or_of_what_that_imports_changes_it(toy) -> None:
    seen = {fresh()}
    for name, old, new in (
        ("work", "* _late", "- _late"),
        ("_used", "x + 1", "x + 2"),
        ("_late", "3", "4"),
    ):
        toy(name, old, new)
        seen.add(fresh())
    assert len(seen) == 4


def test_an_edit_that_changes_no_result_does_not_change_it(toy) -> None:
    before = fresh()
    toy("_used", "def helper(x):\n", 'def helper(x):\n    """Say more."""\n    # Why.\n\n')
    assert fresh() == before
    toy("_unused", "x - 1", "x - 2")
    assert fresh() == before


def test_a_package_whose_names_are_imported_late_is_followed_by_its_stub(toy, tmp_path) -> None:
    folder = tmp_path / "toy"
    (folder / "__init__.pyi").write_text((folder / "__init__.py").read_text().replace("toy.", "."))
    (folder / "__init__.py").write_text("import lazy_loader\n")
    before = fresh()
    toy("_unused", "x - 1", "x - 2")
    assert fresh() == before
    toy("_used", "x + 1", "x + 2")
    assert fresh() != before


def test_other_libraries_change_it(toy, monkeypatch) -> None:
    before = fresh()
    monkeypatch.setattr("torch.__version__", "0.0")
    assert fresh() != before


def test_tables_depend_on_the_code_of_every_proxy_and_operator() -> None:
    closure = _code._closure(("gp_emq.proxies.loading",))
    methods = [
        form for proxy in HANDCRAFTED.values() for form in (proxy.aligned, proxy.as_published)
    ]
    functions = [form for form in methods if form is not None and not isinstance(form, str)]
    assert {form.__module__ for form in functions if hasattr(form, "__module__")} <= closure
    assert {type(operator).__module__ for operator in OPERATORS.values()} <= closure
    assert {"primitives._elementwise", "primitives._reductions"} <= closure


def test_statistics_depend_on_the_code_of_every_collector() -> None:
    closure = _code._closure(("gp_emq.statistics",))
    computations = [*INGREDIENTS.values(), *(record.compute for record in STATISTICS.values())]
    made = [getattr(function, "func", function) for function in computations if function]
    assert {function.__module__ for function in made} <= closure
    assert {"gp_emq.statistics._curvature", "gp_emq.quantization._scales"} <= closure
    assert not {name for name in closure if name.startswith(("gp_emq.evolution", "gp_emq.proxies"))}
