"""Quantized networks as safetensors files: equal ones give equal bytes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from gp_emq.allocation import Plan, plan_document, plan_from
from gp_emq.errors import AllocationError, NetworkError, QuantizationError
from gp_emq.files import (
    atomic_write_bytes,
    decode_document,
    one_line,
    read_tensors,
    shortened,
)
from gp_emq.networks import check_finite, private_copy, take_state_dict, unwrapped
from gp_emq.quantization import (
    MAX_BITS,
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    ask_for_gradients,
    floating_type,
)
from gp_emq.statistics import sha256_of

FORMAT = 1
_RECORD = "gp_emq"
"""The one name in the file's metadata: safetensors writes several in no fixed order."""
_Value = TypeVar("_Value")
_LOWEST, _HIGHEST = -(1 << (MAX_BITS - 1)), (1 << MAX_BITS) - 1


@dataclass(frozen=True)
class QuantizationRecord:
    """What a file says of the network in it.

    Attributes:
        method: By which it was quantized.
        settings: Everything else that decided the result, as plain values.
        plan: The plan, None where it was quantized without one.
    """

    method: str
    settings: Mapping[str, Any]
    plan: Plan | None


def save_quantized(
    quantized: QuantizedModel,
    path: Path | str,
    *,
    method: str = "",
    settings: Mapping[str, Any] | None = None,
    plan: Plan | None = None,
) -> None:
    """Write a quantized network.

    The file is a state dict of the network, whose quantized weights are grid values in float32,
    and beside it, for a quantized layer `conv1`, `conv1.weight.integers` (int8, or uint8 where
    the grid has a zero point), `conv1.weight.scale`, `conv1.weight.zero_point`,
    `conv1.input.scale` and `conv1.input.zero_point`. Method, settings, plan and the ends of the
    grids are JSON in the metadata, under `gp_emq`. A tensor that modules share is there once, under
    its first name; the metadata has its other names.

    Args:
        quantized: The network.
        path: The file; its folder must exist.
        method: By which it was quantized.
        settings: What else decided the result; plain values.
        plan: The plan.

    Raises:
        QuantizationError: The network itself has a tensor of one of these names or a state that
            is no tensor, or an integer lies off its grid.
        RunError: The file cannot be written.
    """
    check_finite(quantized.network)
    state = quantized.network.state_dict(keep_vars=True)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise QuantizationError(
                f"the network keeps {name!r}, a {type(value).__name__}, which a file has no place "
                "for: keep it as a buffer"
            )
    owners = {id(value): name for name, value in reversed(state.items())}
    shares = {name: owners[id(value)] for name, value in state.items() if owners[id(value)] != name}
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in state.items()
        if name not in shares
    }
    grids = _grid_tensors(quantized, shares)
    for name in sorted(grids.keys() & state.keys()):
        raise QuantizationError(f"the network has a tensor of the reserved name {name!r}")
    tensors |= grids
    record = {
        "format": FORMAT,
        "method": method,
        "settings": dict(settings or {}),
        "plan": None if plan is None else plan_document(plan),
        "weights": {name: _ends(weight.parameters) for name, weight in quantized.weights.items()},
        "inputs": {name: _ends(grid) for name, grid in quantized.activations.items()},
        "shares": shares,
        "sha256": sha256_of(sorted(tensors.items())),
    }
    metadata = {_RECORD: json.dumps(record, sort_keys=True, allow_nan=False)}
    atomic_write_bytes(Path(path), safetensors.torch.save(tensors, metadata))


def load_quantized(path: Path | str, model: nn.Module) -> QuantizedModel:
    """Read a quantized network.

    Args:
        path: A file that `save_quantized` or `python -m gp_emq.quantize` wrote.
        model: A network of the same structure, whatever its weights; it is left alone. It may be
            pruned, parametrized or wrapped as the one that was quantized.

    Returns:
        The quantized network; its logits are those of the one that was saved, to the last bit.

    Raises:
        NetworkError: The file does not fit the model.
        QuantizationError: The file is missing or damaged, or of another format.

    Examples:
        >>> import gp_emq, tempfile
        >>> from pathlib import Path
        >>> from torch import equal, nn, randn
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> images = randn(8, 1, 4, 4)
        >>> quantized = gp_emq.quantize(network, {"1": 4}, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "quantized.safetensors"
        ...     gp_emq.save_quantized(quantized, path)
        ...     again = gp_emq.load_quantized(path, network)
        >>> equal(again(images), quantized(images))
        True
    """
    path = Path(path)
    record, tensors = _read(path)
    try:
        weights = _take_weights(tensors, record)
        activations = {
            name: _take_grid(tensors, f"{name}.input", ends) for name, ends in record.inputs.items()
        }
        tensors |= {name: _owned(tensors, name, owner) for name, owner in record.shares.items()}
    except (KeyError, ValueError, RuntimeError) as error:
        raise QuantizationError(f"{path} is damaged: {one_line(error)}") from error
    network = private_copy(model).cpu()
    take_state_dict(network, tensors, path)
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


def read_record(path: Path | str) -> QuantizationRecord:
    """Read what a file says of the network in it, without the network.

    Args:
        path: The file.

    Raises:
        QuantizationError: The file is missing or damaged, or of another format.
    """
    path = Path(path)
    record, _ = _read(path)
    try:
        plan = None if record.plan is None else plan_from(record.plan, "its plan")
        return QuantizationRecord(record.method, record.settings, plan)
    except AllocationError as error:
        raise QuantizationError(f"{path} is damaged: {error}") from error


def _grid_tensors(quantized: QuantizedModel, shares: Mapping[str, str]) -> dict[str, Tensor]:
    tensors, seen = {}, set()
    for name, weight in quantized.weights.items():
        if _root(name, shares) in seen:
            continue
        seen.add(_root(name, shares))
        _check_integers(name, weight.integers, _ends(weight.parameters), QuantizationError)
        kind = torch.int8 if weight.parameters.quant_min < 0 else torch.uint8
        tensors[f"{name}.weight.integers"] = weight.integers.to(kind)
        tensors |= _scale_tensors(f"{name}.weight", weight.parameters)
    for name, grid in quantized.activations.items():
        tensors |= _scale_tensors(f"{name}.input", grid)
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def _scale_tensors(name: str, grid: QuantizationParameters) -> dict[str, Tensor]:
    return {f"{name}.scale": grid.scale, f"{name}.zero_point": grid.zero_point}


def _ends(grid: QuantizationParameters) -> list[int]:
    return [grid.quant_min, grid.quant_max]


def _take_weights(tensors: dict[str, Tensor], record: "_Record") -> dict[str, QuantizedWeight]:
    """Take all weights; those that are one in memory are in the file once."""
    held = {name for name in record.weights if f"{name}.weight.integers" in tensors}
    owners = {_root(name, record.shares): name for name in held}
    taken = {name: _take_weight(tensors, name, record.weights[name]) for name in sorted(held)}
    others = {
        name: _owned(taken, name, owners.get(_root(name, record.shares), name))
        for name in record.weights
        if name not in held
    }
    return taken | others


def _root(name: str, shares: Mapping[str, str]) -> str:
    """Name of the tensor that a layer's weight is."""
    return shares.get(f"{name}.weight", f"{name}.weight")


def _owned(values: Mapping[str, _Value], name: str, owner: str) -> _Value:
    """Return what `name` shares with `owner`."""
    if owner not in values or name in values:
        raise KeyError(f"{shortened(name)} cannot be what {shortened(owner)} is")
    return values[owner]


def _take_weight(tensors: dict[str, Tensor], name: str, ends: tuple[int, int]) -> QuantizedWeight:
    """Take a weight's integers and their grid out of the tensors of a file."""
    parameters = _take_grid(tensors, f"{name}.weight", ends)
    stored = _taken(tensors, f"{name}.weight.integers")
    if stored.dtype not in (torch.int8, torch.uint8) or not stored.numel():
        raise ValueError(f"the integers of {name} are {stored.dtype} {tuple(stored.shape)}")
    integers = stored.to(torch.int16)
    _check_integers(name, integers, ends, ValueError)
    return QuantizedWeight(integers, parameters)


def _check_integers(
    name: str, integers: Tensor, ends: Sequence[int], error: type[Exception]
) -> None:
    """Refuse integers that are not those of a grid."""
    low, high = (int(extreme) for extreme in integers.aminmax())
    if low < ends[0] or high > ends[1]:
        raise error(
            f"the weights of {name} leave their grid: they reach from {low} to {high}, and it from "
            f"{ends[0]} to {ends[1]}"
        )


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
    shares: dict[str, str] = field(default_factory=dict)


def _read(path: Path) -> tuple[_Record, dict[str, Tensor]]:
    """Read and check a file: its record, and its tensors by name."""
    tensors, metadata = read_tensors(path, QuantizationError, "the quantized network")
    if _RECORD not in metadata:
        raise QuantizationError(f"{path} is no quantized network: its metadata has no {_RECORD!r}")
    record = decode_document(metadata[_RECORD], _Record, QuantizationError, str(path), form=FORMAT)
    if record.sha256 != sha256_of(sorted(tensors.items())):
        raise QuantizationError(f"{path} is damaged: its content is not what was written")
    for name, (low, high) in (*record.weights.items(), *record.inputs.items()):
        if not _LOWEST <= low < high <= _HIGHEST:
            raise QuantizationError(
                f"{path} is damaged: the grid of {shortened(name)} goes from {low} to {high}"
            )
    return record, tensors
