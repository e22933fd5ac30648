"""The description in files: widths, shapes, grids of inputs, and where the network is from."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gp_emq.errors import ExportError
from gp_emq.export._grids import StoredGrid, input_grids
from gp_emq.files import decode_document, shortened
from gp_emq.networks import Granularity, Types
from gp_emq.quantization import MAX_BITS, MIN_BITS, QuantizedModel

FORMAT = 1
_MOST_ELEMENTS = 2**48
_TYPES = {
    "float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32,
    "float64": torch.float64,
}  # fmt: skip
_NAMES = {kind: name for name, kind in _TYPES.items()}


@dataclass(frozen=True)
class PackedWeight:
    """How a layer's weight is packed.

    Attributes:
        bits: Its width.
        symmetric: Signed integers, else unsigned ones with a zero point.
        shape: Of the weight.
        group: Values of an output channel that share a scale, None where there are no groups.
    """

    bits: int
    symmetric: bool
    shape: tuple[int, ...]
    group: int | None = None


@dataclass(frozen=True)
class FileHeader:
    """The description in a file.

    Attributes:
        weights: By name of the layer, in the order in which the network takes them.
        inputs: Grids of the inputs by name of the layer.
        provenance: Plain values: where the network and its widths are from.
        outputs: Floating types of the outputs, where the network's own do not say them.
    """

    weights: Mapping[str, PackedWeight]
    inputs: Mapping[str, StoredGrid]
    provenance: Mapping[str, Any]
    outputs: Types = ()


def describe(
    quantized: QuantizedModel,
    weights: Mapping[str, StoredGrid],
    provenance: Mapping[str, Any] | None,
) -> FileHeader:
    """Describe a quantized network.

    Args:
        quantized: The network.
        weights: Grids of its weights, in the order in which it took them.
        provenance: Plain values to keep.

    Raises:
        ExportError: The grid of an input cannot be stored.
    """
    shapes = {name: tuple(weight.integers.shape) for name, weight in quantized.weights.items()}
    return FileHeader(
        weights={
            name: PackedWeight(grid.bits, grid.symmetric, shapes[name], grid.group)
            for name, grid in weights.items()
        },
        inputs=input_grids(quantized),
        provenance=provenance or {},
        outputs=_stated(quantized),
    )


def _stated(quantized: QuantizedModel) -> Types:
    if not quantized.dtype_is_stated:
        return ()
    return quantized.dtype if isinstance(quantized.dtype, tuple) else (quantized.dtype,)


def header_text(header: FileHeader) -> str:
    """Write a description as JSON, in one line.

    Raises:
        ExportError: The provenance has values that JSON does not have.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "weights": {
            name: {
                "bits": item.bits,
                "symmetric": item.symmetric,
                "shape": list(item.shape),
                **({} if item.group is None else {"group": item.group}),
            }
            for name, item in header.weights.items()
        },
        "inputs": {
            name: {
                "bits": grid.bits,
                "symmetric": grid.symmetric,
                "scale": float(grid.scale),
                "zero_point": int(grid.zero_point),
            }
            for name, grid in header.inputs.items()
        },
        "provenance": dict(header.provenance),
    }
    if header.outputs:
        document["outputs"] = [_NAMES[kind] for kind in header.outputs]
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ExportError(f"the provenance does not fit into JSON: {error}") from error


def read_header(where: str, text: str) -> FileHeader:
    """Read and check a description.

    Args:
        where: The file, for complaints.
        text: JSON.

    Raises:
        ExportError: The description is damaged or of another format.
    """
    document = decode_document(text, _Document, ExportError, where, form=FORMAT)
    weights = {
        name: PackedWeight(_width(item.bits, where, name), item.symmetric, item.shape, item.group)
        for name, item in document.weights.items()
    }
    for name, weight in weights.items():
        if not weight.shape or min(weight.shape) < 1 or math.prod(weight.shape) > _MOST_ELEMENTS:
            raise ExportError(
                f"{where} is damaged: the shape of {shortened(name)} is {shortened(weight.shape)}"
            )
        try:
            Granularity(per_channel=True, group=weight.group)
        except ValueError as error:
            raise ExportError(
                f"{where} is damaged: of the weight of {shortened(name)}, {error}"
            ) from error
    inputs = {name: _grid(item, where, name) for name, item in document.inputs.items()}
    for kind in document.outputs:
        if kind not in _TYPES:
            raise ExportError(
                f"{where} is damaged: an output is {shortened(kind)}, none of {', '.join(_TYPES)}"
            )
    outputs = tuple(_TYPES[kind] for kind in document.outputs)
    return FileHeader(weights, inputs, document.provenance, outputs)


@dataclass(frozen=True)
class _Weight:
    """A weight as JSON describes it."""

    bits: int
    symmetric: bool
    shape: tuple[int, ...]
    group: int | None = None


@dataclass(frozen=True)
class _Input:
    """The grid of an input as JSON describes it."""

    bits: int
    symmetric: bool
    scale: float
    zero_point: int


@dataclass(frozen=True)
class _Document:
    """A description as JSON has it, beside the format."""

    weights: dict[str, _Weight]
    inputs: dict[str, _Input]
    provenance: dict[str, Any]
    outputs: tuple[str, ...] = ()


def _grid(item: _Input, where: str, name: str) -> StoredGrid:
    bits = _width(item.bits, where, name)
    scale = torch.tensor(item.scale, dtype=torch.float32)
    if not 0 < float(scale) < math.inf:
        raise ExportError(
            f"{where} is damaged: the scale of the input of {shortened(name)} is {item.scale}"
        )
    most = 0 if item.symmetric else (1 << bits) - 1
    if not 0 <= item.zero_point <= most:
        raise ExportError(
            f"{where} is damaged: the zero point of the input of {shortened(name)} is "
            f"{item.zero_point}, not 0 to {most}"
        )
    return StoredGrid(bits, item.symmetric, scale, torch.tensor(item.zero_point, dtype=torch.uint8))


def _width(bits: int, where: str, name: str) -> int:
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ExportError(f"{where} is damaged: the width of {shortened(name)} is {bits}")
    return bits
