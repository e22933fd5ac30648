"""The description in files: widths, shapes, grids of inputs, and where the network is from."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch

from gp_emq.errors import ExportError
from gp_emq.export._grids import StoredGrid, input_grids
from gp_emq.quantization import MAX_BITS, MIN_BITS, QuantizedModel

FORMAT = 1


@dataclass(frozen=True)
class PackedWeight:
    """How a layer's weight is packed.

    Attributes:
        bits: Its width.
        symmetric: Signed integers, else unsigned ones with a zero point.
        shape: Of the weight.
    """

    bits: int
    symmetric: bool
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """The description in a file.

    Attributes:
        weights: By name of the layer, in the order in which the network takes them.
        inputs: Grids of the inputs by name of the layer.
        provenance: Plain values: where the network and its widths are from.
    """

    weights: Mapping[str, PackedWeight]
    inputs: Mapping[str, StoredGrid]
    provenance: Mapping[str, Any]


def describe(
    quantized: QuantizedModel,
    weights: Mapping[str, StoredGrid],
    provenance: Mapping[str, Any] | None,
) -> Header:
    """Describe a quantized network.

    Args:
        quantized: The network.
        weights: Grids of its weights, in the order in which it took them.
        provenance: Plain values to keep.

    Raises:
        ExportError: The grid of an input cannot be stored.
    """
    shapes = {name: tuple(weight.integers.shape) for name, weight in quantized.weights.items()}
    return Header(
        weights={
            name: PackedWeight(grid.bits, grid.symmetric, shapes[name])
            for name, grid in weights.items()
        },
        inputs=input_grids(quantized),
        provenance=provenance or {},
    )


def header_text(header: Header) -> str:
    """Write a description as JSON, in one line.

    Raises:
        ExportError: The provenance has values that JSON does not have.
    """
    document = {
        "format": FORMAT,
        "weights": {
            name: {"bits": item.bits, "symmetric": item.symmetric, "shape": list(item.shape)}
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
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ExportError(f"the provenance does not fit into JSON: {error}") from error


def read_header(where: str, text: str) -> Header:
    """Read and check a description.

    Args:
        where: The file, for complaints.
        text: JSON.

    Raises:
        ExportError: The description is damaged or of another format.
    """
    return _Reader(where).header(text)


class _Reader:
    """Checks a description part by part, and says where it is wrong."""

    def __init__(self, where: str) -> None:
        self._where = where

    def header(self, text: str) -> Header:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ExportError(f"{self._where} is damaged: its metadata is no JSON") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            found = document.get("format") if isinstance(document, dict) else document
            raise ExportError(
                f"{self._where} has the format {str(found)[:40]!r}; this version reads {FORMAT}"
            )
        weights, inputs = self._object(document, "weights"), self._object(document, "inputs")
        return Header(
            weights={name: self._weight(name, item) for name, item in weights.items()},
            inputs={name: self._input(name, item) for name, item in inputs.items()},
            provenance=self._object(document, "provenance"),
        )

    def _weight(self, name: str, item: object) -> PackedWeight:
        if not isinstance(item, dict):
            self._fail(f"the weight of {name}", item)
        shape = item.get("shape")
        if (
            not isinstance(shape, list)
            or not shape
            or not all(_is_whole(side, 1) for side in shape)
        ):
            self._fail(f"the shape of {name}", shape)
        bits, symmetric = self._width(name, item)
        return PackedWeight(bits, symmetric, tuple(shape))

    def _input(self, name: str, item: object) -> StoredGrid:
        if not isinstance(item, dict):
            self._fail(f"the input of {name}", item)
        bits, symmetric = self._width(name, item)
        scale, zero_point = item.get("scale"), item.get("zero_point")
        if not isinstance(scale, int | float) or not 0 < scale < math.inf:
            self._fail(f"the scale of the input of {name}", scale)
        most = 0 if symmetric else (1 << bits) - 1
        if not isinstance(zero_point, int) or not _is_whole(zero_point, 0) or zero_point > most:
            self._fail(f"the zero point of the input of {name}", zero_point)
        return StoredGrid(
            bits,
            symmetric,
            torch.tensor(scale, dtype=torch.float32),
            torch.tensor(zero_point, dtype=torch.uint8),
        )

    def _width(self, name: str, item: Mapping[str, object]) -> tuple[int, bool]:
        bits, symmetric = item.get("bits"), item.get("symmetric")
        if not isinstance(bits, int) or not _is_whole(bits, MIN_BITS) or bits > MAX_BITS:
            self._fail(f"the width of {name}", bits)
        if not isinstance(symmetric, bool):
            self._fail(f"whether {name} is symmetric", symmetric)
        return bits, symmetric

    def _object(self, document: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = document.get(key)
        if not isinstance(value, dict):
            self._fail(key, value)
        return value

    def _fail(self, what: str, value: object) -> NoReturn:
        raise ExportError(
            f"{self._where} is damaged: {what} in its metadata is {str(value)[:40]!r}"
        )


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
