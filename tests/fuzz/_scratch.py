"""Where files lie that are soon written over."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for files that are soon written over, in memory where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of a name of its own is made there
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
