"""Files of quantized networks as they were before they were packed: read, and no longer written.

Such a file is a state dict of the network, whose quantized weights are grid values in float32, and
beside it, for a quantized layer `conv1`, `conv1.weight.integers` (int8, or uint8 where the grid has
a zero point), `conv1.weight.scale`, `conv1.weight.zero_point`, `conv1.input.scale` and
`conv1.input.zero_point`. Method, settings, plan and the ends of the grids are JSON in the metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.errors import ExportError, NetworkError
from gp_emq.files import decode_document, one_line, shortened
from gp_emq.networks import in_private_form, private_copy, take_state_dict, unwrapped
from gp_emq.quantization import (
    MAX_BITS,
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    ask_for_gradients,
    floating_type,
)
from gp_emq.statistics import sha256_of

UNPACKED_KEY = "gp_emq"
"""The one name in the file's metadata."""
_FORMAT = 1
_LOWEST, _HIGHEST = -(1 << (MAX_BITS - 1)), (1 << MAX_BITS) - 1


def load_unpacked(
    path: Path, text: str, tensors: dict[str, Tensor], model: nn.Module
) -> QuantizedModel:
    """Make the quantized network of a file.

    Args:
        path: The file, for complaints.
        text: Its record.
        tensors: Its tensors by name; what is not the state dict is taken out.
        model: A network of the same structure.

    Raises:
        ExportError: The file is damaged, or of another format.
        NetworkError: It does not fit the model.
    """
    record = _read(path, text, tensors)
    try:
        weights = {name: _take_weight(tensors, name, ends) for name, ends in record.weights.items()}
        activations = {
            name: _take_grid(tensors, f"{name}.input", ends) for name, ends in record.inputs.items()
        }
    except (KeyError, ValueError, RuntimeError) as error:
        raise ExportError(f"{path} is damaged: {one_line(error)}") from error
    network = private_copy(model).cpu()
    take_state_dict(network, in_private_form(network, tensors), path)
    try:
        quantized = QuantizedModel(
            network, weights, activations, dtype=floating_type(unwrapped(model))
        )
    except (NetworkError, AttributeError) as error:
        raise NetworkError(
            f"{path} does not fit {type(model).__name__}: {one_line(error)}"
        ) from error
    ask_for_gradients(quantized.network, unwrapped(model))
    return quantized


def unpacked_provenance(path: Path, text: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what a file says of the network in it: method, settings and plan.

    Raises:
        ExportError: The file is damaged, or of another format.
    """
    record = _read(path, text, tensors)
    return {"method": record.method, "settings": record.settings, "plan": record.plan}


def _take_weight(tensors: dict[str, Tensor], name: str, ends: tuple[int, int]) -> QuantizedWeight:
    """Take a weight's integers and their grid out of the tensors of a file."""
    parameters = _take_grid(tensors, f"{name}.weight", ends)
    stored = _taken(tensors, f"{name}.weight.integers")
    if stored.dtype not in (torch.int8, torch.uint8) or not stored.numel():
        raise ValueError(f"the integers of {name} are {stored.dtype} {tuple(stored.shape)}")
    integers = stored.to(torch.int16)
    low, high = (int(extreme) for extreme in integers.aminmax())
    if low < ends[0] or high > ends[1]:
        raise ValueError(
            f"the weights of {name} leave their grid: they reach from {low} to {high}, and it from "
            f"{ends[0]} to {ends[1]}"
        )
    return QuantizedWeight(integers, parameters)


def _take_grid(
    tensors: dict[str, Tensor], name: str, ends: tuple[int, int]
) -> QuantizationParameters:
    """Take a grid out of the tensors of a file, so that the state dict is left."""
    scale, zero_point = _taken(tensors, f"{name}.scale"), _taken(tensors, f"{name}.zero_point")
    if not scale.is_floating_point() or not bool((scale.isfinite() & (scale > 0)).all()):
        raise ValueError(f"the scale of {name} is not positive and finite")
    if scale.shape != zero_point.shape:
        raise ValueError(f"{name} has no grid")
    low, high = ends
    if not bool(((zero_point >= low) & (zero_point <= high)).all()):
        raise ValueError(f"the zero point of {name} is off its grid")
    return QuantizationParameters(scale, zero_point, low, high)


def _taken(tensors: dict[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise KeyError(f"it lacks {shortened(name)}")
    return tensors.pop(name)


@dataclass(frozen=True)
class _Record:
    """The record in a file, beside its format."""

    method: str
    settings: dict[str, Any]
    plan: dict[str, Any] | None
    weights: dict[str, tuple[int, int]]
    inputs: dict[str, tuple[int, int]]
    sha256: str


def _read(path: Path, text: str, tensors: Mapping[str, Tensor]) -> _Record:
    """Read and check the record of a file."""
    record = decode_document(text, _Record, ExportError, str(path), form=_FORMAT)
    if record.sha256 != sha256_of(sorted(tensors.items())):
        raise ExportError(f"{path} is damaged: its content is not what was written")
    for name, (low, high) in (*record.weights.items(), *record.inputs.items()):
        if not _LOWEST <= low < high <= _HIGHEST:
            raise ExportError(
                f"{path} is damaged: the grid of {shortened(name)} goes from {low} to {high}"
            )
    return record
