"""A private copy of somebody else's network: plain, in eval mode, and ours to run."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from gp_emq.errors import NetworkError
from gp_emq.networks._aliases import check_held, copy_held, share_as
from gp_emq.networks._casts import cast_types, widen_casts
from gp_emq.networks._channels_first import put_channels_first
from gp_emq.networks._closures import rebind
from gp_emq.networks._embeddings import derive_densely
from gp_emq.networks._finite import vanishes
from gp_emq.networks._projections import put_projections_apart

_CONTAINERS = (dict, list, tuple, set)
_COPIED = torch.strided, torch.sparse_coo
_DEEPEST = 4
"""Containers within containers that are searched for tensors that a forward pass kept."""


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside `DataParallel`, `DistributedDataParallel` or `torch.compile`.

    Args:
        model: a network, wrapped or not.

    Raises:
        NetworkError: if it is no module, was scripted, or has lazy modules that never ran.
    """
    while _is_wrapper(model):
        inner = model._modules.get("_orig_mod", model._modules.get("module"))
        assert inner is not None  # noqa: S101 - what is wrapped
        model = inner
    if not isinstance(model, nn.Module):
        raise NetworkError(
            f"the network must be a torch.nn.Module that maps images to outputs, not "
            f"{type(model).__name__}"
        )
    for name, module in model.named_modules():
        where = f"its module {name!r}" if name else "the network"
        if hasattr(module, "_packed_params") or hasattr(module, "_all_weight_values"):
            raise NetworkError(
                f"{where} was quantized by torch, whose weights are packed: give the float network"
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise NetworkError(
                f"{where} was scripted or traced, so that its layers cannot be watched: give the "
                "Python module it was made from"
            )
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(value):
            raise NetworkError(
                f"{name} has no shape yet, since its module is lazy: run the network on some "
                "images once, then give it"
            )
    return model


def _is_wrapper(model: object) -> bool:
    """Tell modules that hold a network as `DataParallel` or `torch.compile` do."""
    if isinstance(model, (nn.DataParallel, DistributedDataParallel)):
        return True
    return isinstance(model, nn.Module) and "_orig_mod" in model._modules


def private_copy(model: nn.Module, *, plain: bool = True) -> nn.Module:
    """Copy a network, so that nothing that is done with the copy reaches the original.

    The copy is in eval mode, its floating parameters and buffers are float32 and ask for no
    gradient, and weights that are computed from others whenever they are used (parametrizations,
    weight norm, spectral norm, pruning masks) are plain parameters with the values that eval
    mode gives them. Parameters and buffers that the original shares among modules are shared, by
    identity or as separate tensors on the same memory, and so are modules; tensors on the memory of
    one that modules keep beside it, as attributes, in containers or in functions, are that one.
    Weights of transposed convolutions have the output channels first, see `put_channels_first`,
    attention has layers for what it projects, see `put_projections_apart`, and embeddings have
    dense gradients of every row, see `derive_densely`. Hooks of the user are kept. Where the
    original has parameters in half or double precision, casts to it that its forward makes leave
    the copy in float32.

    Args:
        model: the network, wrapped or not; it is not touched.
        plain: False leaves floating types, who asks for gradients, and the form of weights as they
            are.

    Raises:
        NetworkError: as `unwrapped`, or if the network cannot be copied, has parameters or buffers
            that overlap in memory without being the same, among themselves or with a tensor that
            a module keeps, or parameters in float64 that are too small for float32.
    """
    model = unwrapped(model)
    _refuse_vanishing(model)
    with torch.inference_mode(mode=False), torch.no_grad():
        try:
            twins: dict[int, Any] = {}
            held = copy_held(model, twins)
            _copy_kept(model, twins)
            copied = copy.deepcopy(model, twins)
        except (RuntimeError, TypeError, AttributeError, NotImplementedError) as error:
            raise NetworkError(f"{type(model).__name__} cannot be copied: {error}") from error
        rebind(copied, twins)
        share_as(model, copied)
        check_held(model, copied, held)
        copied.eval()
        _fold_weights(copied)
        _unwrap_inside(copied)
        if plain:
            kinds = cast_types(copied)
            if kinds:
                widen_casts(copied, kinds)
            put_channels_first(copied)
            put_projections_apart(copied)
            derive_densely(copied)
            _make_plain(copied)
    return copied


def _refuse_vanishing(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if vanishes(parameter):
            largest = float(parameter.detach().abs().amax())
            raise NetworkError(
                f"{name} holds at most {largest:.3g}: too small for float32, in which everything "
                "is computed; make it larger, and undo that later in the network"
            )


def _copy_kept(model: nn.Module, memo: dict[int, Any]) -> None:
    """Map what deepcopy refuses, tensors with a history or of compressed rows, to copies."""
    for module in model.modules():
        for value in _tensors(list(module.__dict__.values()), _DEEPEST):
            refused = not value.is_leaf or value.is_inference() or value.layout not in _COPIED
            if id(value) not in memo and refused:
                memo[id(value)] = value.detach().clone()


def _tensors(value: object, depth: int) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if not isinstance(value, nn.Parameter):
            yield value
    elif isinstance(value, _CONTAINERS) and depth:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _tensors(inner, depth - 1)


def _fold_weights(model: nn.Module) -> None:
    """Replace weights that are computed from others by plain parameters of their values."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            _fold_parametrizations(module)
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)
            elif isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]


def _fold_parametrizations(module: nn.Module) -> None:
    # torch's remove_parametrizations deletes properties of the class, which a copy shares with
    # its original: the original would lose its weights.
    parametrizations = module._modules["parametrizations"]
    assert isinstance(parametrizations, nn.ModuleDict)  # noqa: S101 - what torch registers
    values = {name: getattr(module, name).detach().clone() for name in parametrizations}
    learned = {
        name: any(True for _ in parametrization.parameters(recurse=False))
        for name, parametrization in parametrizations.items()
    }
    module.__class__ = type(module).__bases__[0]
    del module._modules["parametrizations"]
    for name, value in values.items():
        if learned[name]:
            module.register_parameter(name, nn.Parameter(value))
        else:
            module.register_buffer(name, value)


def _unwrap_inside(model: nn.Module) -> None:
    """Replace modules that were wrapped or compiled one by one by what they wrap."""
    for name, module in list(model.named_modules()):
        if name and _is_wrapper(module):
            model.set_submodule(name, unwrapped(module))


def _make_plain(model: nn.Module) -> None:
    """Give every parameter and buffer a float32 tensor of its own that autograd can use."""
    for value in (*model.parameters(), *model.buffers()):
        plain = value.detach()
        if plain.is_inference():
            plain = plain.clone()
        value.data = plain.float() if plain.is_floating_point() else plain
    model.requires_grad_(requires_grad=False)
    for parameter in model.parameters():
        parameter.grad = None
