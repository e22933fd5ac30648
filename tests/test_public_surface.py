"""What packages make public is what others use: a name for its own package alone is its own."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("gp_emq", "primitives", "analysis")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def public_names(package: Path) -> list[str]:
    """Give what a package lists in `__all__`, which its stub has where imports are lazy."""
    stub = package / "__init__.pyi"
    source = stub if stub.exists() else package / "__init__.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            assert isinstance(node.value, ast.List)
            return [ast.literal_eval(name) for name in node.value.elts]
    return []


PACKAGES = {
    ".".join(path.parent.relative_to(ROOT).parts): public_names(path.parent)
    for top in CODE
    for path in sorted((ROOT / top).rglob("__init__.py"))
    if path.parent != ROOT / "gp_emq" and public_names(path.parent)
}


def names_used(tree: ast.AST) -> Iterator[str]:
    """Give the dotted names of what a module imports, and of the attributes it reads of that."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
    yield from known.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            yield f"{known.get(root, root)}.{rest}"


@cache
def uses() -> dict[str, set[str]]:
    """Give, of every dotted name, the modules and pages that have it."""
    found: dict[str, set[str]] = {}
    for top in CODE:
        for path in (ROOT / top).rglob("*.py"):
            module = path.relative_to(ROOT).as_posix()
            for name in names_used(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(name, set()).add(module)
    # Any name of ours in text or code; names that blocks of Python import, by what they are from.
    imported = re.compile(r"from ((?:gp_emq|primitives|analysis)[\w.]*) import (\([^)]*\)|[^\n]*)")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        names = re.findall(r"(?:gp_emq|primitives|analysis)(?:\.\w+)+", text)
        for package, listed in imported.findall(text):
            names += [f"{package}.{name}" for name in re.findall(r"\w+", listed)]
        for name in names:
            found.setdefault(name, set()).add(page.name)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_used_elsewhere_or_explained(package: str) -> None:
    folder = package.replace(".", "/")
    explained = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text("utf-8")))
    assert explained is not None
    own = re.compile(rf"{folder}/" + ("_" if package == "primitives" else ""))
    unused = [
        name
        for name in PACKAGES[package]
        if f"`{name}`" not in explained
        and all(own.match(place) for place in uses().get(f"{package}.{name}", ()))
    ]
    assert unused == []
