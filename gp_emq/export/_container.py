"""The bytes of packed files: safetensors with a description and a checksum."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from gp_emq.errors import ExportError
from gp_emq.export._header import Header, header_text, read_header
from gp_emq.files import atomic_write_bytes, decode_document, parse_tensors, read_bytes

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
    content = read_bytes(path, ExportError, "the packed file")
    tensors = parse_tensors(content, ExportError, f"{path} is no packed file, or is damaged: it")
    # The library has read this header already, so it is JSON of the right form.
    header = content[_LENGTH_BYTES : _header_bytes(content)]
    document = decode_document(header, dict[str, Any], ExportError, str(path))
    metadata = document.get("__metadata__") or {}
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
