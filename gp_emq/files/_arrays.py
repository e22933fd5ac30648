"""Arrays in `.npz` files, read only once their headers ask for what the file can hold."""

import math
import threading
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gp_emq.errors import GpEmqError
from gp_emq.files._messages import one_line

_ONE_HEADER_AT_A_TIME = threading.Lock()
"""Headers are read with `ast`, which in Python 3.11 fails now and then where threads use it at
once: https://github.com/python/cpython/issues/106905."""

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


def open_array(path: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Map an `.npy` file of known shape and type into memory; writes to it never reach the file.

    Args:
        path: the file.
        shape: of the array.
        dtype: its type, as numpy writes it.

    Raises:
        ValueError: it is damaged, or has another array.
        OSError: it does not open.
    """
    with path.open("rb") as file:
        try:
            found_shape, order, found = _header(file)
        # What a damaged header makes the library raise is no part of what it promises.
        except Exception as reason:
            raise ValueError(f"its header is damaged ({one_line(reason)})") from reason
        start = file.tell()
    if (found_shape, found.str) != (shape, dtype) or order:
        raise ValueError(f"it holds {found} {found_shape}, not {dtype} {shape}")
    size = math.prod(shape) * found.itemsize
    if path.stat().st_size != start + size:
        raise ValueError(f"it has {path.stat().st_size - start} bytes of {size}")
    if size == 0:
        return np.empty(shape, found)
    return np.memmap(path, found, "c", start, shape)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read what an array is, of numbers and of no negative size: shape, order and type."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        # A header as Python 2 wrote it is no news to whoever reads arrays.
        warnings.simplefilter("ignore", UserWarning)
        with _ONE_HEADER_AT_A_TIME:
            shape, order, dtype = read(file)
    if dtype.kind not in "biuf" or min(shape, default=1) < 0:
        raise ValueError(f"it holds {dtype} {shape}, no array of numbers")
    return shape, order, dtype


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> NDArray[Any]:
    if info.compress_size > most or info.file_size > _MOST_DEFLATED * (info.compress_size + 1):
        raise ValueError(f"{info.filename} would unfold to more than it can")
    with archive.open(info) as opened:
        member = cast("BinaryIO", opened)
        shape, _, dtype = _header(member)
        asked = math.prod(shape) * dtype.itemsize
        if asked != info.file_size - member.tell():
            raise ValueError(
                f"{info.filename} has {info.file_size - member.tell()} bytes, but its header asks "
                f"for {asked}"
            )
    with archive.open(info) as opened:
        with _ONE_HEADER_AT_A_TIME:
            found: NDArray[Any] = npy.read_array(cast("BinaryIO", opened), allow_pickle=False)
        return found
