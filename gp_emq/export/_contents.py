"""What of a network is stored beside its quantized weights."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gp_emq.errors import ExportError
from gp_emq.networks import QUANTIZABLE, Layer, float_sizes, in_own_form, private_copy

_EXTRA_STATE = "_extra_state"
_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch norms of a network by name, each once."""
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}


def norm_tensor_names(model: nn.Module) -> set[str]:
    """Return the names of all tensors that `norm_tensors` gives for a network's batch norms."""
    return {f"{name}.{tensor}" for name in batch_norms(model) for tensor in _NORM_TENSORS}


def float_bytes(model: nn.Module) -> int:
    """Return what the tensors of a network take in a file of its own types, each once.

    Args:
        model: The float network.
    """
    return sum(
        tensor.nbytes
        for tensor in {id(t): t for t in model.state_dict(keep_vars=True).values()}.values()
    )


def bytes_beside(model: nn.Module, layers: Sequence[Layer]) -> int:
    """Return what a packed file stores beyond the accounting `stored`, whatever the widths.

    These are tensors that belong to no layer, and batch norms that follow none; where batch norms
    keep no statistics, they take less than the accounting counts, and the number may be negative.

    Args:
        model: The float network.
        layers: All of its layers.

    Raises:
        ExportError: A module keeps an extra state, or a sparse tensor.
    """
    beside = tensors_beside_weights(private_copy(model), [layer.name for layer in layers])
    stored = sum(tensor.nbytes for tensor in beside.values())
    weights = sum(layer.own_weights for layer in layers)
    return stored + 4 * weights - int(float_sizes(layers, "stored").sum())


def norm_tensors(name: str, module: _BatchNorm) -> dict[str, Tensor]:
    """Return the four tensors of a batch norm that keeps statistics, as a file has them.

    A norm without learned weight and bias has ones and zeros there: it computes the same.

    Args:
        name: Of the norm.
        module: The norm.

    Returns:
        Tensors (channels,) by name: weight, bias, running mean, running variance; none where it
        keeps no statistics, and has what it learns as other modules do.
    """
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        return {}
    affine = module.weight is not None
    tensors = (
        module.weight.detach() if affine else torch.ones_like(mean),
        module.bias.detach() if affine else torch.zeros_like(mean),
        mean,
        variance,
    )
    return {f"{name}.{of}": tensor for of, tensor in zip(_NORM_TENSORS, tensors, strict=True)}


def sharing_modules(model: nn.Module, quantized: Iterable[str]) -> dict[str, str]:
    """Map every layer whose weight is that of a quantized one to the first of these, itself too.

    Args:
        model: The network.
        quantized: Names of layers with quantized weights, in the order in which it took them.
    """
    owners: dict[int, str] = {}
    for name in quantized:
        owners.setdefault(id(model.get_submodule(name).get_parameter("weight")), name)
    return {
        name: owners[id(module.weight)]
        for name, module in model.named_modules()
        if isinstance(module, QUANTIZABLE) and id(module.weight) in owners
    }


def tensors_beside_weights(model: nn.Module, quantized: Iterable[str]) -> dict[str, Tensor]:
    """Return what a file holds beside the quantized weights: biases, batch norms and all else.

    Left out are the counters of batches that batch norms keep for training, and buffers that
    the network itself leaves out of its state. Tied parameters are there once.

    Args:
        model: The network.
        quantized: Names of the layers whose weights are quantized.

    Returns:
        Tensors by the name, and in the form, that they have in the network's state dict.

    Raises:
        ExportError: A module keeps an extra state, or a sparse tensor.
    """
    quantized_weights = {
        id(model.get_submodule(name).get_parameter("weight")) for name in quantized
    }
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith(_EXTRA_STATE):
            raise ExportError(
                f"the network keeps {name!r}, a {type(value).__name__}, which a file has no place "
                "for: keep it as a buffer"
            )
        if value.layout != torch.strided:
            raise ExportError(
                f"the network keeps {name!r}, a tensor of layout {value.layout}, which a file has "
                "no place for: keep it dense, or register the buffer with persistent=False"
            )
    norms = batch_norms(model)
    found = {
        name: tensor.detach()
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if name in state and id(tensor) not in quantized_weights and not _counts(name, norms)
    }
    for name, module in norms.items():
        found |= norm_tensors(name, module)
    return in_own_form(model, found)


def _counts(name: str, norms: Mapping[str, _BatchNorm]) -> bool:
    owner, _, tensor = name.rpartition(".")
    return tensor == "num_batches_tracked" and owner in norms
