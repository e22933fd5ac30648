"""What a result was computed by: the code of a module and of everything that it imports of ours."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

_OURS = ("gp_emq.", "primitives.")
_NO_RESULTS = ("gp_emq.files", "gp_emq.errors")
"""What reads, writes and complains; what is read is checked by its own sum."""


@cache
def code_sha256(*modules: str) -> str:
    """Hash the code that modules are made of, and that they run on.

    All modules of ours that they import are in it, through the packages' re-exports only those
    that a name comes from; so are the versions of torch and numpy. Comments, docstrings and the
    setting of lines are not: what they say changes no result.

    Args:
        modules: names of modules or packages, as in `gp_emq.statistics`.

    Returns:
        64 hexadecimal digits, the same in every process of an installation.
    """
    digest = hashlib.sha256(f"torch {torch.__version__} numpy {np.__version__}\n".encode())
    for name in sorted(_closure(modules)):
        digest.update(f"{name} {_read(name).does}\n".encode())
    return digest.hexdigest()


def _closure(modules: tuple[str, ...]) -> set[str]:
    """Return the modules of ours that some modules import, directly or not, and themselves."""
    found: set[str] = set()
    waiting = [item for name in modules for item in _inside(name)]
    while waiting:
        name = waiting.pop()
        if name not in found and not name.startswith(_NO_RESULTS):
            found.add(name)
            waiting += _imported(name)
    return found


def _inside(name: str) -> list[str]:
    """Return a module, or a package with all its modules."""
    path = _path(name)
    if path is None or path.name != "__init__.py":
        return [name]
    beside = sorted(item.stem for item in path.parent.glob("*.py") if item.stem != "__init__")
    return [name, *(f"{name}.{item}" for item in beside)]


@cache
def _imported(name: str) -> tuple[str, ...]:
    """Return the modules of ours that a module's own import statements lead to."""
    found = [
        module if alias is None else _home(module, alias) for module, alias in _read(name).imports
    ]
    return tuple(dict.fromkeys(item for item in found if item.startswith(_OURS)))


@cache
def _home(module: str, name: str) -> str:
    """Return the module that a name is from, where a package re-exports it."""
    if not f"{module}.".startswith(_OURS):
        return module
    if _path(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    source = _sources(module).get(name)
    return module if source is None else _home(*source)


@cache
def _sources(package: str) -> dict[str, tuple[str, str]]:
    """Return which module, and which of its names, each name of a package re-exports."""
    path = _path(package)
    if path is None or path.name != "__init__.py":
        return {}
    stub = path.with_suffix(".pyi")  # it says so where names are imported late
    found: dict[str, tuple[str, str]] = {}
    for node in ast.parse((stub if stub.is_file() else path).read_bytes()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            source = f"{package}.{node.module}" if node.level else node.module
            for alias in node.names:
                found.setdefault(alias.asname or alias.name, (source, alias.name))
    return found


@cache
def _path(name: str) -> Path | None:
    """Return the file of a module; None where there is none."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin else None


@dataclass(frozen=True)
class _Code:
    """What a module does, without what it says of itself.

    Attributes:
        does: its syntax tree.
        imports: modules that its import statements name, each with what is imported from it.
    """

    does: str
    imports: tuple[tuple[str, str | None], ...]


@cache
def _read(name: str) -> _Code:
    """Read a module; its tree is let go, since many of them are slow to keep."""
    path = _path(name)
    tree = ast.parse("" if path is None else path.read_bytes())
    imports: list[tuple[str, str | None]] = []
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imports += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imports += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return _Code(ast.dump(tree), tuple(imports))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a module or a statement, and all statements within."""
    yield node
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        for inner in getattr(node, part, ()):
            yield from _statements(inner)
