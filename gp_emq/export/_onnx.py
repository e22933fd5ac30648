"""ONNX files of quantized networks: integers, and the nodes that quantize and dequantize."""

import importlib
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from gp_emq.errors import ExportError
from gp_emq.export._contents import norm_tensor_names, sharing_modules
from gp_emq.export._grids import StoredGrid, check_layers, weight_grids
from gp_emq.export._header import describe, header_text
from gp_emq.export._onnx_types import BLOCKS_OPSET, DEFAULT_OPSET, check_opset, integer_type
from gp_emq.export._report import ExportReport, StoredWeight, report_of
from gp_emq.files import atomic_write_bytes
from gp_emq.networks import Layer, check_finite
from gp_emq.quantization import QuantizedModel


def export_onnx(
    quantized: QuantizedModel,
    layers: Sequence[Layer],
    path: Path | str,
    input_shape: Sequence[int],
    *,
    opset: int = DEFAULT_OPSET,
    batch: int | None = None,
    indices: bool = False,
    strict: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> ExportReport:
    """Write a quantized network as an ONNX file; it appears complete or not at all.

    Weights are integers with a DequantizeLinear node behind them, and the input of each layer
    that has a grid goes through QuantizeLinear and DequantizeLinear. A width for which the opset
    has no type is stored in the next wider one, whose values are the same. docs/export.md has
    the types. Needs `pip install gp_emq[onnx]`.

    Args:
        quantized: The network; equal ones give equal bytes.
        layers: The layers of the network; those that it does not quantize are stored in float.
        path: The file, `.onnx`; its folder must exist.
        input_shape: (C, H, W) of one image, or of another sample.
        opset: 18 to 25; 4-bit types and scales of groups need 21, 2-bit types 25.
        batch: How many images the graph takes at once; any number with None.
        indices: Whether samples are int64, as tokens are, instead of float32.
        strict: Refuse widths for which the opset has no type.
        provenance: Plain values to keep in the file, such as the network and the plan.

    Returns:
        What is stored. Beyond the accounting are wider types, the grids of inputs, and tensors
        that belong to no layer.

    Raises:
        ExportError: onnx or onnxscript is not installed, the opset or the batch is out of range,
            the network does not export, a grid cannot be stored, or a width has no type and
            `strict` is set, or the opset has no scales of groups.
        RunError: The file cannot be written.
    """
    check_opset(opset)
    if batch is not None and batch < 1:
        raise ExportError(f"the batch must have at least one image, not {batch}")
    _check_shape(input_shape)
    check_finite(quantized.network)
    check_layers(quantized, layers)
    weights = weight_grids(quantized)
    owners = sharing_modules(quantized.network, weights)
    own = {name: grid for name, grid in weights.items() if owners[name] == name}
    _check_groups(own, opset)
    header = describe(quantized, own, provenance)
    if strict:
        _check_types(weights, header.inputs, opset)
    graphs = _with_onnx("gp_emq.export._onnx_graph")
    sample = torch.zeros(1, *input_shape, dtype=torch.int64 if indices else torch.float32)
    model = _with_onnx("gp_emq.export._onnx_trace").trace(quantized, sample, opset, batch)
    quantizer = graphs.GraphQuantizer(model, opset)
    quantizer.put_weights(quantized, own)
    quantizer.put_inputs(header.inputs)
    quantizer.compute_in_integers()
    content = graphs.serialize(model, header_text(header))
    atomic_write_bytes(Path(path), content)
    stored, sizes = _stored_weights(weights, owners, quantizer.sizes(), opset)
    return report_of(
        layers,
        weights,
        stored,
        sizes=sizes,
        norms=norm_tensor_names(quantized.network),
        file_bytes=len(content),
        framing="graph",
        draws=quantizer.draws(),
    )


def _check_shape(shape: Sequence[int]) -> None:
    """Refuse what is no shape of one sample; networks of several inputs have no one shape."""
    sizes = shape if isinstance(shape, Sequence) else ("none",)
    if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
        raise ExportError(
            f"input_shape must be whole numbers of at least 1, as (3, 224, 224) for one image, not "
            f"{shape!r}; networks of several inputs are not written"
        )


def _stored_weights(
    weights: Mapping[str, StoredGrid],
    owners: Mapping[str, str],
    sizes: Mapping[str, int],
    opset: int,
) -> tuple[dict[str, StoredWeight], dict[str, int]]:
    """Say what the file has of each weight.

    Args:
        weights: The grids of all of them.
        owners: Of each, the first layer that has the same weight.
        sizes: Bytes of each tensor of the file, by its name.
        opset: Of the file.

    Returns:
        The weights, and the bytes of all other tensors; scales of a bias count with the bias.
    """
    stored, others = {}, dict(sizes)
    for name, grid in weights.items():
        kind = integer_type(grid.bits, opset, signed=grid.symmetric)
        # Of layers that share a weight only the first has one.
        integers = others.pop(f"{name}.weight.integers", 0)
        scales, biases = (
            sum(others.pop(key) for key in list(others) if key.startswith(f"{name}.{of}."))
            for of in ("weight", "bias")
        )
        if biases:
            others[f"{name}.bias"] = others.get(f"{name}.bias", 0) + biases
        what = kind.name if owners[name] == name else f"that of {owners[name]}"
        stored[name] = StoredWeight(what, integers, scales)
    return stored, others


def _check_groups(weights: Mapping[str, StoredGrid], opset: int) -> None:
    grouped = [name for name, grid in weights.items() if grid.group is not None]
    if grouped and opset < BLOCKS_OPSET:
        raise ExportError(
            f"opset {opset} has no scales of groups, which the weight of {grouped[0]} has: take "
            f"opset {BLOCKS_OPSET} or later"
        )


def _check_types(
    weights: Mapping[str, StoredGrid], inputs: Mapping[str, StoredGrid], opset: int
) -> None:
    without = [
        f"{what} of {name} ({grid.bits})"
        for what, grids in (("weight", weights), ("input", inputs))
        for name, grid in grids.items()
        if integer_type(grid.bits, opset, signed=grid.symmetric).bits != grid.bits
    ]
    if without:
        raise ExportError(
            f"opset {opset} has no integers of these widths: {', '.join(without)}; without strict "
            "they are stored in wider ones"
        )


def require_onnx() -> None:
    """Import the optional packages that ONNX files need.

    Raises:
        ExportError: They are not installed.
    """
    _with_onnx("gp_emq.export._onnx_graph")


def _with_onnx(module: str) -> ModuleType:
    """Import a module that needs the optional packages."""
    try:
        importlib.import_module("onnxscript")
        return importlib.import_module(module)
    except ImportError as error:
        raise ExportError(
            f"ONNX files need packages that are not installed ({error}); "
            "install them with: pip install gp_emq[onnx]"
        ) from error
