"""Data flows one way: no package imports one that stands after it."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ORDER = (
    # What everything is made of.
    "errors", "outputs", "files", "determinism", "columns", "_streams", "_signals", "_progress",
    "command", "options", "farm", "store", "correlation",
    # workload -> statistics -> proxy -> table
    "networks", "quantization", "statistics", "primitives", "proxies",
    # -> recipe, and the benches that are measured by it
    "quantization.recipes", "mqbench",
    # -> objective (search), ranking, allocation
    "evolution", "objectives", "ranking", "allocation",
    # -> quantized network -> file
    "export", "ptq", "qat", "measured", "profiling",
    # What is made of all of it: runs, benches of plans, figures, commands.
    "experiment", "watching", "zoo_benches", "ablation", "analysis",
    "ablate", "allocate", "bench", "profile", "quantize", "rank", "run", "watch",
)  # fmt: skip
"""Packages and modules of gp_emq, and the two packages beside it, each before those that use it."""


def place(name: str) -> str | None:
    """Give the entry of `ORDER` that a module belongs to."""
    top, _, rest = name.partition(".")
    if top in ("primitives", "analysis"):
        return top
    if top != "gp_emq" or not rest:
        return None
    if rest.startswith("quantization.recipes"):
        return "quantization.recipes"
    return rest.split(".")[0]


@cache
def imports() -> list[tuple[str, str, str]]:
    """Give every import of our own: the module, its place, and that of what it imports."""
    found = []
    for top in ("gp_emq", "primitives", "analysis"):
        for path in sorted((ROOT / top).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
                ".__init__"
            )
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                    if node.module in ("gp_emq", "gp_emq.quantization"):
                        names = [f"{node.module}.{alias.name}" for alias in node.names]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    continue
                mine = place(module)
                found += [
                    (module, mine, other)
                    for other in map(place, names)
                    if mine is not None and other is not None and other != mine
                ]
    return found


def test_every_package_has_its_place() -> None:
    assert {mine for _, mine, _ in imports()} - {"__main__", "cli"} <= set(ORDER)
    assert len(imports()) > 500


@pytest.mark.parametrize("package", ORDER)
def test_no_package_imports_one_that_stands_after_it(package: str) -> None:
    wrong = [
        f"{module} imports {other}"
        for module, mine, other in imports()
        if mine == package and other in ORDER and ORDER.index(other) > ORDER.index(mine)
    ]
    assert wrong == []
