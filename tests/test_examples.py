"""Every example in docstrings and pages runs where nothing of the package is imported yet."""

import ast
import multiprocessing
import re
from collections.abc import Iterator
from pathlib import Path

import examples
import pytest

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (import|from) \w+", re.MULTILINE)


def docstrings() -> Iterator[tuple[str, list[str]]]:
    """Docstrings with examples, by the name of what they are of."""
    for folder in ("gp_emq", "primitives", "analysis"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if ">>>" not in source:
                continue
            module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    text = ast.get_docstring(node) or ""
                    if ">>>" in text:
                        yield f"{module}.{getattr(node, 'name', '')}", [text]


def pages() -> Iterator[tuple[str, list[str]]]:
    """The Python of a page, which is read from top to bottom."""
    for path in PAGES:
        blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
        if blocks:
            yield path.name, blocks


DOCSTRINGS, PAGE_BLOCKS = dict(docstrings()), dict(pages())
FOLLOWED = {
    "guide.md": "test_guide.py",
    "research.md": "test_research.py",
    "export.md": "export/test_export_page.py",
}
"""Pages whose Python a test of their own runs whole, and looks at what comes of it."""
WHOLE = {name: blocks for name, blocks in PAGE_BLOCKS.items() if name not in FOLLOWED}


@pytest.fixture(scope="module")
def context():
    """Forks of a process that has imported what is slow, and nothing of the package."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(examples.SLOW)
    return found


def check(context, folder: Path, kind: str, texts: list[str]) -> None:
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=examples.run, args=(kind, texts, str(folder), sending))
    process.start()
    sending.close()
    try:
        error = receiving.recv()
    except EOFError:
        error = "the process ended without an answer"
    process.join()
    if error:
        pytest.fail(error)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCSTRINGS)
def test_the_examples_of_a_docstring_run(context, tmp_path: Path, name: str) -> None:
    check(context, tmp_path, "docstring", DOCSTRINGS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_the_python_of_a_page_runs(context, tmp_path: Path, name: str) -> None:
    check(context, tmp_path, "page", WHOLE[name])


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_page_that_is_followed_elsewhere_imports_what_it_names(
    context, tmp_path: Path, name: str
) -> None:
    assert f'"{name}"' in (ROOT / "tests" / FOLLOWED[name]).read_text(encoding="utf-8")
    text = "\n".join(PAGE_BLOCKS[name])
    assert examples.naming(text).count("\n") >= 4
    check(context, tmp_path, "names", [text])


@pytest.mark.slow
def test_a_name_that_only_another_example_imported_is_found_out(context, tmp_path: Path) -> None:
    check(context, tmp_path, "page", ["import gp_emq, gp_emq.options\ngp_emq.options"])
    everything = "import gp_emq\nfor name in dir(gp_emq):\n    getattr(gp_emq, name)\n"
    check(context, tmp_path, "page", [everything])
    with pytest.raises(pytest.fail.Exception, match="no attribute 'options'"):
        check(context, tmp_path, "page", ["import gp_emq\ngp_emq.options"])
    with pytest.raises(pytest.fail.Exception, match="no attribute 'options'"):
        check(context, tmp_path, "names", ["import gp_emq\nprint(gp_emq.options.listed())"])
    with pytest.raises(pytest.fail.Exception, match="Expected"):
        check(context, tmp_path, "docstring", [">>> 1 + 1\n3\n"])


def test_all_public_functions_have_examples_and_pages_no_others() -> None:
    import gp_emq

    exempt = {"__version__", "load_plan", "save_quantized"}  # in the examples of others
    have = {name.rpartition(".")[2] for name in DOCSTRINGS}
    assert set(gp_emq.__all__) - exempt <= have
    for path in PAGES:
        assert not INDENTED.search(path.read_text(encoding="utf-8")), path.name
