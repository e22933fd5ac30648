"""Arrays in `.npz` files, read only once their headers ask for what the file can hold."""

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from numpy.lib import format as npy
from numpy.typing import NDArray

from gp_emq.errors import GpEmqError
from gp_emq.files._messages import one_line

_MOST_DEFLATED = 1032
"""Times that the densest deflated byte unfolds (RFC 1951)."""

_MOST_MEMBERS = 4096


def read_npz(
    path: Path,
    names: Sequence[str],
    error: type[GpEmqError],
    what: str,
    *,
    optional: Sequence[str] = (),
) -> dict[str, NDArray[Any]]:
    """Read arrays of an `.npz` file.

    Args:
        path: the file.
        names: of the arrays that it must have.
        error: what is raised.
        what: it should be, as in "images x and labels y".
        optional: names of arrays that it may have.

    Returns:
        Arrays of numbers by name.

    Raises:
        GpEmqError: of the kind given: it is missing or damaged, lacks an array, has one that is
            not of numbers, or one whose header asks for more than is there.
    """
    if not path.is_file():
        raise error(f"{path} does not read as {what}: there is no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()[:_MOST_MEMBERS]}
            there = [name for name in (*names, *optional) if f"{name}.npy" in members]
            size = path.stat().st_size
            found = {name: _array(archive, members[f"{name}.npy"], size) for name in there}
    # What a damaged archive makes the libraries raise is no part of what they promise.
    except Exception as reason:
        raise error(f"{path} does not read as {what}: {one_line(reason)}") from reason
    for name in names:
        if name not in found:
            raise error(f"{path} does not read as {what}: it has no {name}")
    return found


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> NDArray[Any]:
    if info.compress_size > most or info.file_size > _MOST_DEFLATED * (info.compress_size + 1):
        raise ValueError(f"{info.filename} would unfold to more than it can")
    with archive.open(info) as opened:
        member = cast("BinaryIO", opened)
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(member)
        asked = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biuf" or min(shape, default=1) < 0:
            raise ValueError(f"{info.filename} holds {dtype} {shape}, no array of numbers")
        if asked != info.file_size - member.tell():
            raise ValueError(
                f"{info.filename} has {info.file_size - member.tell()} bytes, but its header asks "
                f"for {asked}"
            )
    with archive.open(info) as opened:
        found: NDArray[Any] = npy.read_array(cast("BinaryIO", opened), allow_pickle=False)
        return found
