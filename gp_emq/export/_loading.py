"""Reading packed files back, checking everything that they say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.allocation import Plan, plan_from
from gp_emq.errors import AllocationError, ExportError
from gp_emq.export._bits import packed_size, unpack_integers
from gp_emq.export._container import read_container
from gp_emq.export._contents import batch_norms, sharing_modules, tensors_beside_weights
from gp_emq.export._grids import StoredGrid
from gp_emq.export._header import PackedWeight
from gp_emq.export._packed import INTEGERS, SCALE, ZERO_POINT
from gp_emq.export._unpacked import UNPACKED_KEY, load_unpacked, unpacked_provenance
from gp_emq.files import check_document
from gp_emq.networks import Granularity, in_own_form, in_private_form, private_copy, unwrapped
from gp_emq.quantization import (
    QuantizedModel,
    QuantizedWeight,
    ask_for_gradients,
    floating_type,
)

_SHOWN = 3


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


def load_quantized(path: Path | str, model: nn.Module) -> QuantizedModel:
    """Read a quantized network.

    Args:
        path: A file that `save_quantized` or `python -m gp_emq.quantize` wrote, in this version or
            an earlier one.
        model: A network of the same structure, whatever its weights; it is left alone. It may be
            of any floating type, and pruned, parametrized or wrapped as the one that was quantized.

    Returns:
        The quantized network, which gives the same outputs to the last bit. The counters of
        batches that batch norms keep for training start at zero.

    Raises:
        ExportError: The file is missing, damaged, or does not fit the network.
        NetworkError: A file of an earlier version does not fit the network.

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
    found = read_container(path)
    if UNPACKED_KEY in found.metadata:
        return load_unpacked(path, found.metadata[UNPACKED_KEY], found.tensors, model)
    header, tensors = found.header(), found.tensors
    given, model = unwrapped(model), private_copy(model).cpu()
    for name, packed in header.weights.items():
        _check_layer(path, model, name, packed.shape)
    for name in header.inputs:
        _check_layer(path, model, name, None)
    weights = {
        name: _take_weight(path, name, packed, tensors) for name, packed in header.weights.items()
    }
    _check_beside(path, model, tensors_beside_weights(model, weights), tensors)
    inputs = {name: grid.parameters(1) for name, grid in header.inputs.items()}
    state = model.state_dict()
    for name, tensor in in_private_form(model, tensors).items():
        if name in state:
            state[name].copy_(tensor)
    for norm in batch_norms(model).values():
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.zero_()
    for name, owner in sharing_modules(model, weights).items():
        weights[name] = weights[owner]
    for name, weight in weights.items():
        # What it was before is of no matter, finite or not.
        model.get_submodule(name).get_parameter("weight").data = weight.values()
    quantized = QuantizedModel(model, weights, inputs, dtype=floating_type(given))
    quantized.give(header.outputs)
    ask_for_gradients(quantized.network, given)
    return quantized


def load_provenance(path: Path | str) -> Mapping[str, Any]:
    """Return the provenance in a file, such as method, settings and plan.

    Args:
        path: The file.

    Raises:
        ExportError: The file is missing or damaged.
    """
    found = read_container(Path(path))
    if UNPACKED_KEY in found.metadata:
        return unpacked_provenance(found.path, found.metadata[UNPACKED_KEY], found.tensors)
    return found.header().provenance


def read_record(path: Path | str) -> QuantizationRecord:
    """Read what a file says of the network in it, without the network.

    Args:
        path: The file.

    Raises:
        ExportError: The file is missing or damaged, or of another format.
    """
    said = load_provenance(path)
    document = {"method": "", "settings": {}, "plan": None, **said}
    document = {field.name: document[field.name] for field in fields(_Record)}
    record = check_document(document, _Record, ExportError, f"{path}")
    try:
        plan = None if record.plan is None else plan_from(record.plan, "its plan")
    except AllocationError as error:
        raise ExportError(f"{path} is damaged: {error}") from error
    return QuantizationRecord(record.method, record.settings, plan)


@dataclass(frozen=True)
class _Record:
    """A record as JSON has it."""

    method: str
    settings: dict[str, Any]
    plan: dict[str, Any] | None


def _check_layer(path: Path, model: nn.Module, name: str, shape: tuple[int, ...] | None) -> None:
    try:
        module = model.get_submodule(name)
        found = None if shape is None else tuple(module.get_parameter("weight").shape)
    except AttributeError as error:
        raise ExportError(f"{path} does not fit: {_called(model)} has no layer {name}") from error
    if found != shape:
        raise ExportError(
            f"{path} does not fit {_called(model)}: the weight of {name} has the shape {shape} in "
            f"the file, {found} in the network"
        )


def _take_weight(
    path: Path, name: str, packed: PackedWeight, tensors: dict[str, Tensor]
) -> QuantizedWeight:
    """Unpack a layer's weight, and take what it was packed in out of the tensors."""
    count = math.prod(packed.shape)
    size = (packed_size(count, packed.bits),)
    integers = _take(path, f"{name}.{INTEGERS}", torch.uint8, [size], tensors)
    channels = [(), packed.shape[:1]]
    if packed.group is not None:
        length = math.prod(packed.shape[1:])
        if packed.group >= length:
            raise ExportError(
                f"{path} is damaged: {name}.weight has groups of {packed.group} values, and "
                f"channels of {length}"
            )
        groups = Granularity(per_channel=True, group=packed.group).groups(length)
        channels = [(packed.shape[0], groups)]
    scale = _take(path, f"{name}.{SCALE}", torch.float32, channels, tensors)
    if not bool((scale.isfinite() & (scale > 0)).all()):
        raise ExportError(f"{path} is damaged: {name}.{SCALE} is not positive and finite")
    zero_point = torch.zeros_like(scale, dtype=torch.uint8)
    if not packed.symmetric:
        shape = [tuple(scale.shape)]
        zero_point = _take(path, f"{name}.{ZERO_POINT}", torch.uint8, shape, tensors)
    grid = StoredGrid(packed.bits, packed.symmetric, scale, zero_point, packed.group)
    if bool((zero_point > grid.quant_max).any()):
        raise ExportError(f"{path} is damaged: {name}.{ZERO_POINT} is beyond {grid.quant_max}")
    unpacked = unpack_integers(integers.numpy(), packed.bits, count, signed=packed.symmetric)
    return QuantizedWeight(
        torch.from_numpy(unpacked).reshape(packed.shape), grid.parameters(len(packed.shape))
    )


def _take(
    path: Path,
    name: str,
    dtype: torch.dtype,
    shapes: list[tuple[int, ...]],
    tensors: dict[str, Tensor],
) -> Tensor:
    if name not in tensors:
        raise ExportError(f"{path} is damaged: it lacks {name}")
    tensor = tensors.pop(name)
    if tensor.dtype != dtype or tuple(tensor.shape) not in shapes:
        raise ExportError(
            f"{path} is damaged: {name} is {tensor.dtype} {tuple(tensor.shape)}, "
            f"not {dtype} {' or '.join(map(str, shapes))}"
        )
    return tensor


def _check_beside(
    path: Path, model: nn.Module, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    """Check that what lies beside the quantized weights is what the network has there."""
    both = sorted(expected.keys() & found.keys())
    kinds = {
        name: ((found[name].dtype, found[name].shape), (expected[name].dtype, expected[name].shape))
        for name in both
    }
    state = model.state_dict()
    state |= in_own_form(model, state)
    for complaint, names in (
        ("the file lacks", sorted(expected.keys() - found.keys())),
        ("the network lacks", sorted(found.keys() - expected.keys())),
        ("they differ in type or shape of", [n for n in both if kinds[n][0] != kinds[n][1]]),
        (
            "the network does not learn",
            [n for n in both if n not in state and not torch.equal(found[n], expected[n].cpu())],
        ),
    ):
        if names:
            more = " ..." if len(names) > _SHOWN else ""
            raise ExportError(
                f"{path} does not fit {_called(model)}: {complaint} "
                f"{', '.join(names[:_SHOWN])}{more}"
            )


def _called(model: nn.Module) -> str:
    return type(model).__name__
