"""Write the tables of `docs/primitives.md`: ``python -m primitives [PAGE]``."""

import sys
from pathlib import Path

from primitives import OPERATORS, STATISTICS
from primitives._page import filled

PAGE = Path(__file__).parents[1] / "docs" / "primitives.md"


def main(arguments: list[str]) -> int:
    """Fill a page in, by default this project's; give the exit status."""
    path = Path(arguments[0]) if arguments else PAGE
    try:
        page = path.read_text(encoding="utf-8")
        path.write_text(filled(page, STATISTICS.values(), OPERATORS.values()), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
