"""A kind of file that a user can hand in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ._mutations import Mutation


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        name: Of the kind.
        file: Its name, below the folder that it lies in.
        make: Writes a valid one, and what lies beside it.
        change: Gives a mutated one.
        read: Reads it as the package does; raises `GpEmqError` where it is refused.
        readers: The functions that open it, as `module:function`.
        inputs: How many the test suite tries.
    """

    name: str
    file: str
    make: Callable[[Path], None]
    change: Mutation
    read: Callable[[Path], object]
    readers: tuple[str, ...]
    inputs: int = 250
