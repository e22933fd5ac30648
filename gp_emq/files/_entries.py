"""Entries of a cache: files that say what they are of, and are believed only if they are whole.

An entry is one line, `gp_emq entry 1 SHA256`, and after it the content. The sha256 is of the key,
which names all that the content was computed from, the code too, and of the content. What is
damaged, or of something else, is no entry: whoever asks for it computes it again.
"""

import hashlib
from pathlib import Path

from gp_emq.files._writing import atomic_write_bytes

_MARK = b"gp_emq entry 1 "
_LINE = len(_MARK) + hashlib.sha256().digest_size * 2 + 1


def write_entry(path: Path, key: str, content: bytes) -> None:
    """Write an entry; it appears complete or not at all, and its folder is made.

    Args:
        path: the file.
        key: what the content was computed from, such as a sha256.
        content: anything.

    Raises:
        RunError: the file cannot be written.
        OSError: its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(path, entry_of(key, content))


def read_entry(path: Path, key: str) -> bytes | None:
    """Read the content of an entry.

    Args:
        path: the file.
        key: what it was computed from.

    Returns:
        The content; None if there is no such file, or it is damaged or of something else.
    """
    try:
        return open_entry(path.read_bytes(), key)
    except OSError:
        return None


def entry_of(key: str, content: bytes) -> bytes:
    """Return the bytes of an entry."""
    return b"%s%s\n" % (_MARK, _sha256(key, content)) + content


def open_entry(whole: bytes, key: str) -> bytes | None:
    """Return the content of an entry's bytes; None if they are damaged or of another key."""
    content = whole[_LINE:]
    expected = b"%s%s\n" % (_MARK, _sha256(key, content))
    return content if whole[:_LINE] == expected else None


def _sha256(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(hashlib.sha256(key.encode()).digest())
    digest.update(content)
    return digest.hexdigest().encode()
