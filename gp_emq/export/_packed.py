"""Packed files: a quantized network as safetensors, its integers without gaps between them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gp_emq.export._bits import pack_integers
from gp_emq.export._container import write_container
from gp_emq.export._contents import norm_tensor_names, sharing_modules, tensors_beside_weights
from gp_emq.export._grids import integers_of, weight_grids
from gp_emq.export._header import describe
from gp_emq.export._report import ExportReport, StoredWeight, report_of
from gp_emq.networks import Layer, check_finite
from gp_emq.quantization import QuantizedModel

INTEGERS, SCALE, ZERO_POINT = "weight.integers", "weight.scale", "weight.zero_point"
"""What the tensors of a quantized weight are called after the name of its layer."""


def save_packed(
    quantized: QuantizedModel,
    layers: Sequence[Layer],
    path: Path | str,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> ExportReport:
    """Write a quantized network as a packed file; it appears complete or not at all.

    A weight that layers share is in the file once, under the name of the first. The numbers of
    the file, its header excluded, take what `size_table` with the accounting
    `stored` counts, and what the report says to be beyond it: tensors that belong to no layer,
    and batch norms that follow none. docs/export.md has the layout.

    Args:
        quantized: The network; equal ones give equal bytes.
        layers: The layers of the network; those that it does not quantize are stored in float.
        path: The file, `.safetensors`; its folder must exist.
        provenance: Plain values to keep in the file, such as the network and the plan.

    Returns:
        What is stored.

    Raises:
        ExportError: A grid cannot be stored, a quantized layer is none of `layers`, a batch norm
            keeps no running statistics, or the provenance does not fit into JSON.
        RunError: The file cannot be written.
    """
    check_finite(quantized.network)
    grids = weight_grids(quantized, layers)
    owners = sharing_modules(quantized.network, grids)
    own = {name: grid for name, grid in grids.items() if owners[name] == name}
    tensors: dict[str, Tensor] = {}
    for name, grid in own.items():
        integers = integers_of(quantized.weights[name])
        tensors[f"{name}.{INTEGERS}"] = torch.from_numpy(pack_integers(integers, grid.bits))
        tensors[f"{name}.{SCALE}"] = grid.scale
        if not grid.symmetric:
            tensors[f"{name}.{ZERO_POINT}"] = grid.zero_point
    beside = tensors_beside_weights(quantized.network, grids)
    header = describe(quantized, own, provenance)
    file_bytes = write_container(Path(path), header, tensors | beside)
    return report_of(
        layers,
        grids,
        {
            name: StoredWeight(
                f"{grid.bits}-bit packed",
                tensors[f"{name}.{INTEGERS}"].nbytes,
                grid.stored_bytes,
            )
            if name in own
            else StoredWeight(f"that of {owners[name]}", 0, 0)
            for name, grid in grids.items()
        },
        sizes={name: tensor.nbytes for name, tensor in beside.items()},
        norms=norm_tensor_names(quantized.network),
        file_bytes=file_bytes,
        framing="header",
    )
