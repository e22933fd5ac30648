"""The bytes of packed files: safetensors with a description and a checksum."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from gp_emq.errors import ExportError
from gp_emq.export._header import Header, header_text, read_header
from gp_emq.store import atomic_write_bytes

METADATA_KEY = "gp_emq_packed"
"""The only key of a file's metadata, because the order of several is not fixed.

Its value is the description, one line of JSON, and in a second line the sha256 of that line and
of all bytes after the file's header, in hexadecimal.
"""

_LENGTH_BYTES = 8


def write_container(path: Path, header: Header, tensors: Mapping[str, Tensor]) -> int:
    """Write a packed file; it appears complete or not at all.

    Args:
        path: The file; its folder must exist.
        header: Its description.
        tensors: By name.

    Returns:
        Its bytes.

    Raises:
        ExportError: The provenance does not fit into JSON.
        RunError: The file cannot be written.
    """
    # A copy of each, since the library refuses tensors that share memory.
    copies = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = header_text(header)
    digest = _sha256(text, safetensors.torch.save(copies))
    content = safetensors.torch.save(copies, metadata={METADATA_KEY: f"{text}\n{digest}"})
    atomic_write_bytes(path, content)
    return len(content)


def read_container(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """Read a packed file's description and tensors.

    Args:
        path: The file.

    Raises:
        ExportError: The file is missing or damaged, or is no packed file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ExportError(f"{path} is no packed file, or is damaged: {reason}") from error
    # The library has read this header already, so it is JSON of the right form.
    metadata = json.loads(content[_LENGTH_BYTES : _header_bytes(content)]).get("__metadata__") or {}
    if METADATA_KEY not in metadata:
        raise ExportError(f"{path} is no packed file: its metadata lacks {METADATA_KEY!r}")
    text, _, digest = metadata[METADATA_KEY].partition("\n")
    if _sha256(text, content) != digest:
        raise ExportError(f"{path} is damaged: its checksum is not that of its content")
    return read_header(str(path), text), tensors


def _sha256(text: str, content: bytes) -> str:
    """Hash a description, and what follows the header in a safetensors file's bytes."""
    digest = hashlib.sha256(text.encode())
    digest.update(memoryview(content)[_header_bytes(content) :])
    return digest.hexdigest()


def _header_bytes(content: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
