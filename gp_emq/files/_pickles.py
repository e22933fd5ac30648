"""What a pickle would make, before anything reads it: counted, not made."""

import pickletools
import struct
from typing import BinaryIO

from gp_emq.errors import GpEmqError
from gp_emq.files._messages import one_line, shortened

MOST_OPERATIONS = 200_000
MOST_OBJECTS = 10_000_000
MOST_LEVELS = 64
MOST_BITS = 128
"""Bits of the largest integer: the mark of torch's older files has 77."""

_LONGEST_NAME = 1024
"""Characters of a name in what torch has saved: it looks complaints about one through in a time
that grows with the square of its length."""

_CALLS = frozenset(
    {
        "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX",
        "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER",
    }
)  # fmt: skip
_FILLS = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_MARKS = (pickletools.markobject, pickletools.stackslice)


class _RefusedError(Exception):
    """Why a pickle is not read."""


class _Item:
    """Something on the stack: how many objects it takes to write out, and how deep they nest."""

    __slots__ = ("levels", "objects")

    def __init__(self) -> None:
        self.objects = 1
        self.levels = 1

    def take(self, items: "list[_Item]") -> None:
        for item in items:
            self.objects += item.objects
            if item.levels >= self.levels:
                self.levels = item.levels + 1
        if self.objects > MOST_OBJECTS:
            raise _RefusedError(f"it would unfold to more than {MOST_OBJECTS:,} objects")
        if self.levels > MOST_LEVELS:
            raise _RefusedError(f"it nests deeper than {MOST_LEVELS} levels")


class _Effect:
    """What an operation takes from the stack, and whether it puts something there."""

    __slots__ = ("fills", "makes", "taken", "to_mark")

    def __init__(self, operation: pickletools.OpcodeInfo) -> None:
        before = operation.stack_before
        self.fills = operation.name in _FILLS
        self.to_mark = any(mark in before for mark in _MARKS)
        taken = before.index(pickletools.markobject) if self.to_mark else len(before)
        self.taken = taken - self.fills
        self.makes = bool(operation.stack_after) and not self.fills


_EFFECTS = {operation.name: _Effect(operation) for operation in pickletools.opcodes}


class _Machine:
    """Does what a pickle says with counts in place of objects."""

    def __init__(self, *, calls: bool) -> None:
        self._calls = calls
        self._operations = 0
        self._stack: list[_Item | None] = []
        self._memo: dict[int, _Item] = {}

    def do(self, name: str, argument: object) -> None:
        self._operations += 1
        if self._operations > MOST_OPERATIONS:
            raise _RefusedError(f"it has more than {MOST_OPERATIONS:,} operations")
        if name in _CALLS and not self._calls:
            asked = argument if isinstance(argument, str) else name
            raise _RefusedError(f"it asks for {shortened('.'.join(asked.split()))}")
        if isinstance(argument, str) and len(argument) > _LONGEST_NAME and self._calls:
            raise _RefusedError(f"it has a name of {len(argument):,} characters")
        if isinstance(argument, int) and argument.bit_length() > MOST_BITS:
            raise _RefusedError(f"it has an integer of {argument.bit_length():,} bits")
        if name in _PUTS:
            self._put(len(self._memo) if argument is None else argument)
        elif name in _GETS:
            self._stack.append(self._got(argument))
        elif name == "DUP":
            self._stack.append(self._top())
        elif name == "MARK":
            self._stack.append(None)
        else:
            self._change(_EFFECTS[name])

    def _change(self, effect: _Effect) -> None:
        """Take from the stack what an operation takes, and put there what it makes of it."""
        taken = self._to_mark() if effect.to_mark else []
        for _ in range(effect.taken):
            taken.append(self._pop())
        if effect.fills:
            self._top().take(taken)
        elif effect.makes:
            made = _Item()
            made.take(taken)
            self._stack.append(made)

    def _put(self, index: object) -> None:
        if not isinstance(index, int) or not 0 <= index <= self._operations:
            raise _RefusedError(f"it remembers something under the number {shortened(index, 40)}")
        self._memo[index] = self._top()

    def _got(self, index: object) -> _Item:
        if not isinstance(index, int) or index not in self._memo:
            raise _RefusedError(f"it remembers nothing under the number {shortened(index, 40)}")
        return self._memo[index]

    def _top(self) -> _Item:
        if not self._stack or self._stack[-1] is None:
            raise _RefusedError("it takes more than it has made")
        return self._stack[-1]

    def _pop(self) -> _Item:
        item = self._top()
        self._stack.pop()
        return item

    def _to_mark(self) -> list[_Item]:
        taken: list[_Item] = []
        while self._stack:
            item = self._stack.pop()
            if item is None:
                return taken
            taken.append(item)
        raise _RefusedError("it takes more than it has made")


def check_pickle(file: BinaryIO, error: type[GpEmqError], where: str, *, calls: bool) -> None:
    """Refuse a pickle that would take long, or much, to read, or run anything.

    A few bytes may ask for gigabytes of memo, for millions of levels, or for a key that takes
    years to hash because its parts are used again and again. All that is counted here before a
    reader of pickles sees them.

    Args:
        file: at the beginning of the pickle, of which it is left at the end.
        error: what is raised.
        where: its place, as in "FILE is refused".
        calls: whether it may name classes and functions. What they are is for the reader to
            check, and none is looked up here.

    Raises:
        GpEmqError: of the kind given; the message is one line.
    """
    machine = _Machine(calls=calls)
    try:
        for operation, argument, _ in pickletools.genops(file):
            machine.do(operation.name, argument)
    except _RefusedError as reason:
        raise error(f"{where}: {reason}") from None
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, struct.error) as reason:
        raise error(f"{where}: it is damaged ({one_line(reason)})") from reason


def check_pickles(file: BinaryIO, count: int, error: type[GpEmqError], where: str) -> None:
    """Check pickles that follow one another, which may name classes; see `check_pickle`."""
    for _ in range(count):
        check_pickle(file, error, where, calls=True)
