"""The bytes of packed files: safetensors with a description and a checksum."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from gp_emq.errors import ExportError
from gp_emq.export._header import FileHeader, header_text, read_header
from gp_emq.files import atomic_write_bytes, decode_document, parse_tensors, read_bytes

METADATA_KEY = "gp_emq_packed"
"""The only key of a file's metadata, because the order of several is not fixed.

Its value is the description, one line of JSON, and in a second line the sha256 of that line and
of all bytes after the file's header, in hexadecimal.
"""

_LENGTH_BYTES = 8


def write_container(path: Path, header: FileHeader, tensors: Mapping[str, Tensor]) -> int:
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


@dataclass(frozen=True)
class Container:
    """What is in a file of a quantized network, packed or not.

    Attributes:
        path: The file.
        content: Its bytes.
        metadata: Texts by name.
        tensors: By name.
    """

    path: Path
    content: bytes
    metadata: Mapping[str, str]
    tensors: dict[str, Tensor]

    def header(self) -> FileHeader:
        """Read the description of a packed file.

        Raises:
            ExportError: The file is damaged, or is no packed file.
        """
        if METADATA_KEY not in self.metadata:
            raise ExportError(
                f"{self.path} is no quantized network: its metadata lacks {METADATA_KEY!r}"
            )
        text, _, digest = self.metadata[METADATA_KEY].partition("\n")
        if _sha256(text, self.content) != digest:
            raise ExportError(f"{self.path} is damaged: its checksum is not that of its content")
        return read_header(str(self.path), text)


def read_container(path: Path) -> Container:
    """Read a file of a quantized network.

    Args:
        path: The file.

    Raises:
        ExportError: The file is missing, damaged or of another kind.
    """
    content = read_bytes(path, ExportError, "the quantized network")
    what = f"{path} is no quantized network, or is damaged: it"
    tensors = parse_tensors(content, ExportError, what)
    # The library has read this header already, so it is JSON of the right form.
    header = content[_LENGTH_BYTES : _header_bytes(content)]
    document = decode_document(header, dict[str, Any], ExportError, str(path))
    return Container(path, content, document.get("__metadata__") or {}, tensors)


def _sha256(text: str, content: bytes) -> str:
    """Hash a description, and what follows the header in a safetensors file's bytes."""
    digest = hashlib.sha256(text.encode())
    digest.update(memoryview(content)[_header_bytes(content) :])
    return digest.hexdigest()


def _header_bytes(content: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
