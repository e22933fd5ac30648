"""Values and reasons as parts of one short line, whatever a file made of them."""

import difflib
import reprlib
from collections.abc import Iterable

MOST = 80

_WRITER = reprlib.Repr()
_WRITER.maxlevel, _WRITER.maxdict, _WRITER.maxlist, _WRITER.maxtuple = 2, 3, 3, 3
_WRITER.maxstring = MOST - 2


def shortened(value: object, most: int = MOST) -> str:
    """Write a value as it would be printed, in at most so many characters.

    Args:
        value: anything that was read from a file; numbers of any length, containers of any depth.
        most: characters.
    """
    try:
        text = _WRITER.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = f"a {type(value).__name__} of very many digits"
    return _cut(" ".join(text.split()), most)


def one_line(error: BaseException, most: int = 2 * MOST) -> str:
    """Say why something failed, in one short line.

    Args:
        error: what was raised.
        most: characters.
    """
    reason = getattr(error, "strerror", None) or str(error)
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return _cut(lines[0] if lines else type(error).__name__, most)


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Ask whether a name was meant that is like an unknown one.

    Args:
        name: the unknown one.
        known: names that there are.
        most: so many are told at most.

    Returns:
        `"did you mean 'fit'? "`, with a space to go on after; empty where nothing is like it.
    """
    close = difflib.get_close_matches(name, list(known), n=most)
    return f"did you mean {' or '.join(map(repr, close))}? " if close else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
