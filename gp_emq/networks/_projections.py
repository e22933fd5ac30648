"""Attention of a private copy with its projections apart, and the names that they have elsewhere.

A file, and the network that a copy is of, know `attention.in_proj_weight`; in the copy it is
`attention.q_proj.weight`, `attention.k_proj.weight` and `attention.v_proj.weight`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from gp_emq.networks._aliases import held_places, places
from gp_emq.networks._attention import IN, OUT, MultiheadAttention, Projection
from gp_emq.networks._derived import derived_class

_PACKED, _BIAS = "in_proj_weight", "in_proj_bias"
_APART = tuple(f"{name}_weight" for name in IN)
_PLAIN = (nn.Linear, NonDynamicallyQuantizableLinear)


def put_projections_apart(model: nn.Module) -> None:
    """Give the attention in a private copy layers of their own for what it projects.

    Left as it is: attention whose packed parameters are elsewhere in the network as well, or are
    not its own parameters, with an output layer of another kind, with such modules already, or
    with a forward that was put on it. Encoders make no nested tensors, which torch's fused path
    alone can take.

    Args:
        model: A copy; changed in place.
    """
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False
    split: dict[int, tuple[nn.Parameter, ...]] = {}
    for module in _separable(model):
        _separate(module, split)


def _separable(model: nn.Module) -> list[nn.MultiheadAttention]:
    """Find the attention to put apart: all that share a packed parameter, or none of them."""
    uses = Counter(id(value) for _, _, value in places(model))
    uses.update(id(place.tensor) for place in held_places(model))
    found = [module for module in model.modules() if _fits(module)]
    while True:
        own = Counter(id(value) for module in found for value in _packed_parameters(module))
        kept = [
            module
            for module in found
            if all(uses[id(value)] == own[id(value)] for value in _packed_parameters(module))
        ]
        if len(kept) == len(found):
            return [cast("nn.MultiheadAttention", module) for module in found]
        found = kept


def _fits(module: nn.Module) -> bool:
    """Tell whether a module is attention in torch's form."""
    if (
        not isinstance(module, nn.MultiheadAttention)
        or isinstance(module, MultiheadAttention)
        or "forward" in vars(module)
    ):
        return False
    out, width = module._modules.get(OUT), module.embed_dim
    if out is None or type(out) not in _PLAIN or "forward" in vars(out):
        return False
    names = {**vars(module), **module._modules, **module._parameters, **module._buffers}
    if not set(IN).isdisjoint(names):
        return False
    inputs = (width, module.kdim, module.vdim)
    wanted: dict[str, tuple[int, ...]] = {_PACKED: (3 * width, width)}
    if not module._qkv_same_embed_dim:
        wanted = {name: (width, size) for name, size in zip(_APART, inputs, strict=True)}
    if _BIAS not in module._parameters or module._parameters[_BIAS] is not None:
        wanted[_BIAS] = (3 * width,)
    return _has(module, wanted) and _has(out, {"weight": (width, width)})


def _has(module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Tell whether a module has parameters of some shapes."""
    found = {name: module._parameters.get(name) for name in shapes}
    return all(
        value is not None and tuple(value.shape) == shapes[name] for name, value in found.items()
    )


def _packed_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Give the parameters of attention in torch's form that stand for three."""
    for name in (_PACKED, _BIAS):
        value = module._parameters.get(name)
        if value is not None:
            yield value


def _separate(module: nn.MultiheadAttention, split: dict[int, tuple[nn.Parameter, ...]]) -> None:
    """Put the projections of attention apart.

    Args:
        module: Changed in place.
        split: The parts of packed parameters, by their identity; extended here.
    """
    for value in _packed_parameters(module):
        if id(value) not in split:
            split[id(value)] = tuple(
                nn.Parameter(part.detach().clone(), requires_grad=value.requires_grad)
                for part in value.chunk(3)
            )
    packed, *apart, bias = (
        module._parameters.pop(name, None) for name in (_PACKED, *_APART, _BIAS)
    )
    weights = apart if packed is None else split[id(packed)]
    biases = (None, None, None) if bias is None else split[id(bias)]
    # The output layer that was there is never called: hooks on it, which would be now, go with it.
    out = module._modules.pop(OUT)
    assert out is not None  # noqa: S101 - narrows; the caller looked
    layers = {
        name: Projection(weight, bias_of)
        for name, weight, bias_of in zip(
            (*IN, OUT),
            (*weights, out._parameters["weight"]),
            (*biases, out._parameters["bias"]),
            strict=True,
        )
        if weight is not None
    }
    for layer in layers.values():
        layer.train(module.training)
    module._modules = {**layers, **module._modules}
    module._qkv_same_embed_dim = False
    module.__dict__["packed"] = packed is not None
    given = type(module)
    is_plain = given is nn.MultiheadAttention
    made = (
        MultiheadAttention if is_plain else derived_class(given.__name__, given, MultiheadAttention)
    )
    module.__class__ = cast("type[MultiheadAttention]", made)


def own_names(model: nn.Module) -> dict[str, str]:
    """Say which parameter of the network that a copy is of holds one of a projection.

    Args:
        model: The copy.

    Returns:
        Names in the network by those in the copy; only of projections.
    """
    return {part: own for own, parts in _parts(model).items() for part in parts}


def joined(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put tensors of projections together, under the names of the network that a copy is of.

    Args:
        model: The copy.
        tensors: By their names in the copy; where a part of a parameter is missing, the others
            are left as they are.
    """
    names: dict[str, str] = {}
    whole: dict[str, Tensor] = {}
    for own, parts in _parts(model).items():
        if all(part in tensors for part in parts):
            names |= dict.fromkeys(parts, own)
            found = [tensors[part] for part in parts]
            whole[own] = found[0] if len(found) == 1 else torch.cat(found)
    return {
        names.get(name, name): whole.get(names.get(name, ""), value)
        for name, value in tensors.items()
    }


def parted(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `joined`.

    Args:
        model: The copy.
        tensors: By name; what does not divide is left as it is.
    """
    result = dict(tensors)
    for own, parts in _parts(model).items():
        if own not in result:
            continue
        rows = len(result[own]) if result[own].dim() else 0
        if rows and rows % len(parts) == 0:
            result |= zip(parts, result.pop(own).chunk(len(parts)), strict=True)
    return result


def _parts(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Name the parameters in a copy, one or three, that each of attention's has become."""
    found = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, MultiheadAttention):
            start = f"{prefix}." if prefix else ""
            weights, biases = (
                tuple(f"{start}{name}.{of}" for name in IN) for of in ("weight", "bias")
            )
            if module.packed:
                found[start + _PACKED] = weights
            else:
                found |= {
                    start + own: (weight,) for own, weight in zip(_APART, weights, strict=True)
                }
            if module.q_proj.bias is not None:
                found[start + _BIAS] = biases
    return found
