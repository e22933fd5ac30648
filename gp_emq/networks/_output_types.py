"""The floating types of what a network gives."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from gp_emq.networks._private import private_copy
from gp_emq.networks._running import Forward, undisturbed
from gp_emq.networks._samples import Samples
from gp_emq.networks._trees import leaves_of

Types = tuple[torch.dtype, ...]
"""One for each floating tensor, in the order of the leaves of the outputs."""


def output_types(model: nn.Module, forward: Forward, one: Samples) -> Types | None:
    """Run a network on one sample in its own floating types, and return those of what it gives.

    The sample is fed in the type of the first parameter, or else in float32, as one would feed it.

    Args:
        model: the network; a copy of it is run.
        forward: how it is fed.
        one: a single sample.

    Returns:
        The types; None where it can be run in neither way on the CPU.
    """
    network = private_copy(model, plain=False).cpu()
    kinds = [value.dtype for value in network.parameters() if value.is_floating_point()]
    with undisturbed(), torch.no_grad():
        for kind in dict.fromkeys((*kinds[:1], torch.float32)):
            fed = _pytree.tree_map_only(Tensor, partial(_cast, kind=kind), one)
            try:
                return types_of(forward(network, fed))
            except Exception:  # noqa: BLE001, S112 - a forward may raise anything
                continue
    return None


def types_of(outputs: Any) -> Types:
    """Return the floating types of tensors in outputs, in their order."""
    leaves = leaves_of(outputs)
    return tuple(
        leaf.dtype for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()
    )


def _cast(value: Tensor, kind: torch.dtype) -> Tensor:
    value = value.cpu()
    return (value.to(kind) if value.is_floating_point() else value).clone()
