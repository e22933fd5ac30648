"""Changes of files that hold a checksum of themselves, which then is right again."""

import json
from collections.abc import Callable

import safetensors.torch

from gp_emq.allocation._table_file import _sha256 as table_sha256
from gp_emq.export._container import METADATA_KEY, _sha256
from gp_emq.statistics import sha256_of

from . import _mutations as change


def quantized(content: bytes, random: "change.Random") -> bytes:
    """Change a quantized network, and give it the checksum of what it then holds."""
    changed = change.of_safetensors(content, random)

    def seal(metadata: dict[str, str]) -> None:
        record = json.loads(metadata["gp_emq"])
        record["sha256"] = sha256_of(sorted(safetensors.torch.load(changed).items()))
        metadata["gp_emq"] = json.dumps(record)

    return _sealed(changed, seal)


def packed(content: bytes, random: "change.Random") -> bytes:
    """Change a packed file, and give it the checksum of what it then holds."""
    changed = change.of_safetensors(content, random)

    def seal(metadata: dict[str, str]) -> None:
        line = metadata[METADATA_KEY].partition("\n")[0]
        metadata[METADATA_KEY] = f"{line}\n{_sha256(line, changed)}"

    return _sealed(changed, seal)


def table(content: bytes, random: "change.Random") -> bytes:
    """Change saved scores, and give them the checksum of what they then are."""
    changed = change.of_json(content, random)
    try:
        values = json.loads(changed)
        values.pop("sha256", None)
        return json.dumps(values | {"sha256": table_sha256(values)}).encode()
    except Exception:  # noqa: BLE001 - what does not read any more has no checksum
        return changed


def _sealed(changed: bytes, seal: Callable[[dict[str, str]], None]) -> bytes:
    """Let the checksum in the header of a safetensors file be put right."""
    try:
        length = int.from_bytes(changed[:8], "little")
        header = json.loads(changed[8 : 8 + length])
        seal(header["__metadata__"])
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + changed[8 + length :]
    except Exception:  # noqa: BLE001 - what does not read any more has no checksum
        return changed
