"""Values and reasons as parts of one short line, whatever a file made of them."""

import reprlib

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


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
