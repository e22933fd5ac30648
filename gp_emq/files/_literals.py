"""What the modules of a package say of themselves, read without importing them."""

import ast
import importlib.util
import pkgutil
from pathlib import Path
from typing import Any


def literal_calls(package: str, function: str) -> list[tuple[list[Any], dict[str, Any]]]:
    """Read which plain values the public modules of a package give a function.

    What they make can be listed so without what they import, which may be slow.

    Args:
        package: Name of the package.
        function: Name of the function, or class, that they call.

    Returns:
        Of every call the values that stand there as such, by position and by keyword.
    """
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    return [
        (
            [value.value for value in node.args if isinstance(value, ast.Constant)],
            {
                str(keyword.arg): keyword.value.value
                for keyword in node.keywords
                if isinstance(keyword.value, ast.Constant)
            },
        )
        for folder in folders
        for module in pkgutil.iter_modules([folder])
        if not module.name.startswith("_")
        for node in ast.walk(ast.parse(Path(folder, f"{module.name}.py").read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function
    ]
