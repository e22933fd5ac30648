"""Tensors in safetensors files and torch checkpoints, of the types that we compute with."""

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gp_emq.errors import GpEmqError
from gp_emq.files._messages import one_line
from gp_emq.files._pickles import check_pickle, check_pickles

_TYPES = frozenset(
    {
        torch.float32, torch.float64, torch.float16, torch.bfloat16,
        torch.complex64, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool,
    }
)  # fmt: skip

_ZIP = b"PK\x03\x04"
_OLDER_PICKLES = 5
"""What torch's older files begin with: a mark, two numbers, the content and its keys."""


def read_tensors(
    path: Path, error: type[GpEmqError], what: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Args:
        path: the file.
        error: what is raised.
        what: it should be, as in "the quantized network".

    Returns:
        Its tensors, on the processor, and its metadata, both by name.

    Raises:
        GpEmqError: of the kind given: it is missing or damaged, or has tensors of another type,
            such as eight-bit floats.
    """
    if not path.is_file():
        raise error(f"cannot read {what} {path}: No such file or directory")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except OSError as reason:
        raise error(f"cannot read {what} {path}: {one_line(reason)}") from reason
    # What a damaged file makes the library raise is no part of what it promises.
    except Exception as reason:
        raise error(f"{path} does not read as safetensors: {one_line(reason)}") from reason
    _check_types(tensors, error, str(path))
    return tensors, metadata


def parse_tensors(content: bytes, error: type[GpEmqError], where: str) -> dict[str, Tensor]:
    """Read the tensors in the bytes of a safetensors file; see `read_tensors`."""
    try:
        tensors = safetensors.torch.load(content)
    except Exception as reason:
        raise error(f"{where} does not read as safetensors: {one_line(reason)}") from reason
    _check_types(tensors, error, where)
    return tensors


def load_checkpoint_file(source: Path | bytes, error: type[GpEmqError], where: str) -> Any:
    """Read what torch has saved: tensors and plain values, nothing else.

    Args:
        source: the file, or its bytes.
        error: what is raised.
        where: it is, as in "FILE does not read as weights".

    Raises:
        GpEmqError: of the kind given: it is damaged, packed, or has anything else in it.
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            _check_saved(file, error, where)
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except GpEmqError:
        raise
    # What a damaged file makes the library raise is no part of what it promises.
    except Exception as reason:
        raise error(f"{where}: {one_line(reason)}") from reason


def _check_saved(file: BinaryIO, error: type[GpEmqError], where: str) -> None:
    """Check the pickles of a file before torch sees them, and that nothing unfolds."""
    beginning = file.read(len(_ZIP))
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if beginning != _ZIP:
        check_pickles(file, _OLDER_PICKLES, error, where)
        return
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members) or (
            sum(member.file_size for member in members) > size
        ):
            raise error(f"{where}: it is packed, which torch's files are not")
        for member in members:
            if member.filename.endswith(".pkl"):
                content = io.BytesIO(archive.read(member))
                check_pickle(content, error, where, calls=True)


def _check_types(tensors: dict[str, Tensor], error: type[GpEmqError], where: str) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise error(
                f"{where} has a tensor of type {str(tensor.dtype).removeprefix('torch.')}, "
                f"{name[:80]!r}: read are floats of 16 to 64 bits, complex64 and whole numbers"
            )
