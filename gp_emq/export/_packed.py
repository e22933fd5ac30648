"""Packed files: a quantized network as safetensors, its integers without gaps between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gp_emq.allocation import Plan, plan_document
from gp_emq.errors import ExportError
from gp_emq.export._bits import pack_integers
from gp_emq.export._container import write_container
from gp_emq.export._contents import norm_tensor_names, sharing_modules, tensors_beside_weights
from gp_emq.export._grids import StoredGrid, check_layers, integers_of, weight_grids
from gp_emq.export._header import describe
from gp_emq.export._report import ExportReport, StoredWeight, report_of
from gp_emq.networks import Layer, check_finite, in_private_form
from gp_emq.quantization import QuantizedModel

INTEGERS, SCALE, ZERO_POINT = "weight.integers", "weight.scale", "weight.zero_point"
"""What the tensors of a quantized weight are called after the name of its layer."""


def save_quantized(
    quantized: QuantizedModel,
    path: Path | str,
    *,
    method: str = "",
    settings: Mapping[str, Any] | None = None,
    plan: Plan | None = None,
) -> None:
    """Write a quantized network, packed; the file appears complete or not at all.

    A weight that layers share is in the file once, under the name of the first. Method, settings
    and plan are in it too. docs/export.md has the layout.

    Args:
        quantized: The network; equal ones give equal bytes.
        path: The file, `.safetensors`; its folder must exist.
        method: By which it was quantized.
        settings: What else decided the result; plain values.
        plan: The plan.

    Raises:
        ExportError: A grid cannot be stored, an integer lies off its grid, or the settings do not
            fit into JSON, or the plan is none.
        RunError: The file cannot be written.
    """
    if plan is not None and not isinstance(plan, Plan):
        raise ExportError(
            f"the plan is {type(plan).__name__}: give what allocate or load_plan returns, or none"
        )
    document = None if plan is None else plan_document(plan)
    provenance = {"method": method, "settings": dict(settings or {}), "plan": document}
    contents = _contents(quantized)
    write_container(
        Path(path),
        describe(quantized, contents.own, provenance),
        contents.weights | contents.beside,
    )


def save_packed(
    quantized: QuantizedModel,
    layers: Sequence[Layer],
    path: Path | str,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> ExportReport:
    """Write a quantized network as `save_quantized` does, and say what is stored of each layer.

    The numbers of the file, its header excluded, take what `size_table` with the accounting
    `stored` counts, and what the report says to be beyond it: tensors that belong to no layer,
    and batch norms that follow none.

    Args:
        quantized: The network; equal ones give equal bytes.
        layers: The layers of the network; those that it does not quantize are stored in float.
        path: The file, `.safetensors`; its folder must exist.
        provenance: Plain values to keep in the file, such as the network and the plan.

    Returns:
        What is stored.

    Raises:
        ExportError: A quantized layer is none of `layers`; or see `save_quantized`.
        RunError: The file cannot be written.
    """
    check_layers(quantized, layers)
    contents = _contents(quantized)
    file_bytes = write_container(
        Path(path),
        describe(quantized, contents.own, provenance),
        contents.weights | contents.beside,
    )
    beside = in_private_form(quantized.network, contents.beside)
    return report_of(
        layers,
        contents.grids,
        {name: contents.stored(name) for name in contents.grids},
        sizes={name: tensor.nbytes for name, tensor in beside.items()},
        norms=norm_tensor_names(quantized.network),
        file_bytes=file_bytes,
        framing="header",
    )


@dataclass(frozen=True)
class _Contents:
    """The tensors of a file.

    Attributes:
        grids: Of the quantized weights, by name of the layer.
        owners: Name of the first layer with the same weight, by name of the layer.
        weights: Tensors of the quantized weights, each weight once.
        beside: All other tensors.
    """

    grids: dict[str, StoredGrid]
    owners: dict[str, str]
    weights: dict[str, Tensor]
    beside: dict[str, Tensor]

    @property
    def own(self) -> dict[str, StoredGrid]:
        """Grids of the layers whose weight is no earlier layer's."""
        return {name: grid for name, grid in self.grids.items() if self.owners[name] == name}

    def stored(self, name: str) -> StoredWeight:
        """Say how a layer's weight is stored."""
        if self.owners[name] != name:
            return StoredWeight(f"that of {self.owners[name]}", 0, 0)
        grid, integers = self.grids[name], self.weights[f"{name}.{INTEGERS}"]
        return StoredWeight(f"{grid.bits}-bit packed", integers.nbytes, grid.stored_bytes)


def _contents(quantized: QuantizedModel) -> _Contents:
    check_finite(quantized.network)
    grids = weight_grids(quantized)
    owners = sharing_modules(quantized.network, grids)
    weights: dict[str, Tensor] = {}
    for name, grid in grids.items():
        if owners[name] == name:
            integers = integers_of(quantized.weights[name])
            weights[f"{name}.{INTEGERS}"] = torch.from_numpy(pack_integers(integers, grid.bits))
            weights[f"{name}.{SCALE}"] = grid.scale
            if not grid.symmetric:
                weights[f"{name}.{ZERO_POINT}"] = grid.zero_point
    return _Contents(grids, owners, weights, tensors_beside_weights(quantized.network, grids))
