"""What every command of the package shares: how it ends."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from gp_emq.errors import GpEmqError


def make_callable(module: str, function: Callable[..., object]) -> None:
    """Let the module of a command be called as the function of the same name.

    `gp_emq.allocate` is a function, and `gp_emq/allocate.py` the command of that name: whoever
    imports the command puts the module in the function's place, which then has to act as it.

    Args:
        module: `__name__` of the command's module.
        function: What calling the module calls.
    """
    kind = type("CallableModule", (ModuleType,), {"__call__": staticmethod(function)})
    sys.modules[module].__class__ = kind


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a command's main function and exit as every command of the package does.

    Args:
        main: the command; the integer it returns, or 0, becomes the exit status.

    Raises:
        SystemExit: always. Status 2 after a `GpEmqError`, whose message is printed as one
            line on standard error, and 130 after Ctrl-C.
    """
    try:
        status = main() or 0
    except GpEmqError as error:
        line = " ".join(str(error).split())
        sys.stderr.write(f"error: {line}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    sys.exit(status)
