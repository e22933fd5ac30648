"""What every command of the package shares: how it ends."""

import sys
from collections.abc import Callable
from typing import NoReturn

from gp_emq.errors import GpEmqError


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
