"""Files of quantized networks as they were written before they were packed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from gp_emq.allocation import Plan, plan_document
from gp_emq.quantization import QuantizationParameters, QuantizedModel
from gp_emq.statistics import sha256_of


def save_unpacked(
    quantized: QuantizedModel,
    path: Path,
    *,
    method: str = "",
    settings: Mapping[str, Any] | None = None,
    plan: Plan | None = None,
) -> None:
    """Write a state dict with grid values, and beside it integers, scales and zero points."""
    grids = {f"{name}.weight": w.parameters for name, w in quantized.weights.items()}
    grids |= {f"{name}.input": grid for name, grid in quantized.activations.items()}
    tensors = dict(quantized.network.state_dict())
    for name, weight in quantized.weights.items():
        kind = torch.int8 if weight.parameters.quant_min < 0 else torch.uint8
        tensors[f"{name}.weight.integers"] = weight.integers.to(kind)
    for name, grid in grids.items():
        tensors |= {f"{name}.scale": grid.scale, f"{name}.zero_point": grid.zero_point}
    tensors = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    record = {
        "format": 1,
        "method": method,
        "settings": dict(settings or {}),
        "plan": None if plan is None else plan_document(plan),
        "weights": {name: _ends(w.parameters) for name, w in quantized.weights.items()},
        "inputs": {name: _ends(grid) for name, grid in quantized.activations.items()},
        "sha256": sha256_of(sorted(tensors.items())),
    }
    metadata = {"gp_emq": json.dumps(record, sort_keys=True, allow_nan=False)}
    path.write_bytes(safetensors.torch.save(tensors, metadata))


def _ends(grid: QuantizationParameters) -> list[int]:
    return [grid.quant_min, grid.quant_max]
