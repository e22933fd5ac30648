"""Finding primitive sets: a file of this package by name, or a user's own by path."""

import importlib
import importlib.util
import pkgutil
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from gp_emq.errors import GpEmqError, PrimitiveSetError
from primitives._primitive_set import PrimitiveSet

if TYPE_CHECKING:
    from typing_extensions import Buffer


def primitive_set_names() -> tuple[str, ...]:
    """Give the names of the sets that come with the package: its public modules."""
    package = importlib.import_module("primitives")
    return tuple(
        sorted(
            module.name
            for module in pkgutil.iter_modules(package.__path__)
            if not module.name.startswith("_")
        )
    )


def load_primitive_set(name_or_path: str) -> PrimitiveSet:
    """Build a primitive set.

    Args:
        name_or_path: A name that `primitive_set_names` gives, or the path of a Python file with
            a function ``build()`` that returns a `PrimitiveSet`. The file is run, as a script
            would be: load only what you trust.

    Returns:
        A fresh primitive set.

    Raises:
        PrimitiveSetError: No such set or file, or the file does not build a complete set.
    """
    names = primitive_set_names()
    if name_or_path in names:
        module = importlib.import_module(f"primitives.{name_or_path}")
    elif name_or_path.endswith(".py"):
        module = _import_file(Path(name_or_path))
    else:
        raise PrimitiveSetError(
            f"unknown primitive set {name_or_path!r}; known are {', '.join(names)}, "
            "or the path of a .py file"
        )
    return _build(module, name_or_path)


class _SourceAlone(SourceFileLoader):
    """Reads a user's file, and leaves no bytecode beside it."""

    def set_data(self, path: str, data: "Buffer", *, _mode: int = 0o666) -> None:
        """Write nothing."""


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PrimitiveSetError(f"no primitive set file {str(path)!r}")
    loader = _SourceAlone(f"_primitive_set_{path.stem}", str(path.absolute()))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None  # noqa: S101 - it has a loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up.
    sys.modules[spec.name] = module
    try:
        loader.exec_module(module)
    except GpEmqError:
        raise
    except Exception as error:
        raise PrimitiveSetError(
            f"primitive set file {str(path)!r} fails to load: {_in_one_line(error)}"
        ) from error
    return module


def _build(module: ModuleType, name: str) -> PrimitiveSet:
    build = getattr(module, "build", None)
    if not callable(build):
        raise PrimitiveSetError(f"primitive set {name!r} has no function build()")
    try:
        built = build()
    except GpEmqError:
        raise
    except Exception as error:
        raise PrimitiveSetError(
            f"build() of primitive set {name!r} fails: {_in_one_line(error)}"
        ) from error
    if not isinstance(built, PrimitiveSet):
        raise PrimitiveSetError(
            f"build() of primitive set {name!r} gives a {type(built).__name__}, not a PrimitiveSet"
        )
    return built


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
