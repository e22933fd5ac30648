"""Write the tables of `docs/primitives.md`: ``python -m primitives [PAGE]``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from gp_emq.command import run_command
from gp_emq.errors import RunError
from gp_emq.files import atomic_write_text, one_line
from gp_emq.options import OptionParser
from primitives import OPERATORS, STATISTICS
from primitives._page import filled

PAGE = Path(__file__).parents[1] / "docs" / "primitives.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill a page in, by default this project's; give 0, the exit status.

    Raises:
        RunError: There is no such page, or it lacks the marks that the tables stand between.
    """
    parser = OptionParser(
        prog="python -m primitives",
        description="Write the tables of all statistics and operators into a page.",
    )
    parser.add_argument(
        "page",
        nargs="?",
        type=Path,
        default=PAGE,
        help="what to fill in (default: docs/primitives.md of this project)",
    )
    path = parser.parse_args(sys.argv[1:] if arguments is None else arguments).page
    try:
        page = path.read_text(encoding="utf-8")
        filled_in = filled(page, STATISTICS.values(), OPERATORS.values())
    except (OSError, ValueError) as error:
        raise RunError(f"cannot fill in {path}: {one_line(error)}") from error
    atomic_write_text(path, filled_in)
    return 0


if __name__ == "__main__":
    run_command(main)
