"""Runs an example as somebody would: in an interpreter that has not seen the package yet.

Nothing of the package may be imported here, or by whoever starts the process.
"""

import ast
import doctest
import os
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection

SLOW = ["numpy", "scipy.optimize", "scipy.sparse", "torch", "safetensors.torch"]
"""What takes seconds to import; an example may find it imported, but not the package."""


OURS = ("gp_emq", "primitives", "analysis")


def naming(text: str) -> str:
    """Return what Python imports of the package, and its names of what that imports, in order.

    Nothing is called, so that it takes no time, and no call imports what another name needs.
    """
    tree, found = ast.parse(text), []
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [getattr(node, "module", None) or alias.name for alias in node.names]
            if all(name.split(".")[0] in OURS for name in named):
                bound |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
                found.append((node.lineno, node.col_offset, ast.unparse(node)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            words = ast.unparse(node).split(".")
            if words[0] in bound and all(map(str.isidentifier, words)):
                found.append((node.lineno, node.col_offset, ".".join(words)))
    return "\n".join(line for _, _, line in sorted(found))


def run(kind: str, texts: Sequence[str], folder: str, answer: Connection) -> None:
    """Run examples in an empty folder; what is sent back is empty, or says what went wrong."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    assert not any(name.split(".")[0] == "gp_emq" for name in sys.modules)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    names: dict[str, object] = {"__name__": "__main__"}
    try:
        for text in texts:
            if kind == "docstring":
                said: list[str] = []
                test = doctest.DocTestParser().get_doctest(text, names, "example", None, 0)
                if not test.examples or doctest.DocTestRunner().run(test, out=said.append).failed:
                    raise AssertionError("".join(said) or "there is no example")  # noqa: TRY301
            elif kind == "names":
                exec(compile(naming(text), "names", "exec"), names)  # noqa: S102 - our own page
            elif text.startswith("# "):
                with open(text.split()[1], "w") as file:  # noqa: PTH123
                    file.write(text)
            else:
                exec(compile(text, "example", "exec"), names)  # noqa: S102 - our own page
        answer.send("")
    except BaseException:  # noqa: BLE001 - whatever it is, it is the answer
        answer.send(traceback.format_exc())
