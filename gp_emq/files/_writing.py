"""Files that are either the old ones or the new ones, never half of one."""

import os
import tempfile
from pathlib import Path

from gp_emq.errors import RunError
from gp_emq.outputs import refuse_irregular


def atomic_write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file so that a kill at any moment leaves the old or the new one.

    Args:
        path: the file; its folder must exist.
        text: the whole content, written with the line endings it has.

    Raises:
        RunError: as for `atomic_write_bytes`.
    """
    atomic_write_bytes(path, text.encode())


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old or the new one.

    Args:
        path: the file; its folder must exist. A link to a file stays one.
        content: the whole content.

    Raises:
        RunError: the folder is missing or cannot be written, or there is something that is no
            regular file.
    """
    refuse_irregular(path)
    path = Path(os.path.realpath(path))
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files that only their owner reads; a run's files are ordinary ones.
            partial.chmod(0o666 & ~_umask())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
