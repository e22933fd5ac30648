"""Tensors that a network multiplies with as layers do with their weights, but that are none."""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from gp_emq.networks._aliases import places
from gp_emq.networks._running import PrivateNetwork, undisturbed
from gp_emq.networks._samples import Samples, split, take
from gp_emq.networks._sparse import values_of

_LOOKED_AT = 4
"""Samples that are run; a sample may take another way through the network than the first."""
_WEIGHT_AT: dict[Callable[..., Any], int] = {
    **dict.fromkeys(
        (
            functional.linear, functional.embedding,
            functional.conv1d, functional.conv2d, functional.conv3d,
            functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d,
        ),
        1,
    ),
    functional.bilinear: 2,
}  # fmt: skip
"""Functions that are fed data and a `weight`, and its place among their arguments."""
_PRODUCTS = frozenset(
    {
        torch.matmul, torch.mm, torch.bmm, torch.mv, torch.addmm, torch.baddbmm, torch.einsum,
        torch.tensordot, torch.sparse.mm, torch.sparse.addmm, torch.smm, Tensor.matmul,
        Tensor.mm, Tensor.bmm, Tensor.mv, Tensor.addmm, Tensor.baddbmm, Tensor.__matmul__,
        Tensor.__rmatmul__,
    }
)  # fmt: skip
"""Products in which each operand may be a weight."""
_OF_MODULE = re.compile(r"\._(?:parameters|buffers)\['(\w+)'\]")
"""What a tensor of a module that is not registered is called by its place."""


@dataclass(frozen=True)
class Beside:
    """A tensor of two axes or more that a network multiplies with, and no parameter of it.

    Attributes:
        name: where it is held.
        kind: type of the module that holds it.
        what: what it is there.
    """

    name: str
    kind: str
    what: str


def multiplied_beside(network: PrivateNetwork, samples: Samples) -> list[Beside]:
    """Find what a network multiplies with that is no parameter: buffers, and plain tensors.

    Masks, tables of positions and statistics of batch norms, which are added or multiplied number
    by number, are none of it; neither is what a product or a layer is fed as its data, unless it
    is an operand of a matrix product.

    Args:
        network: its first samples are run, one by one.
        samples: (n, ...), or other samples.
    """
    found: dict[str, Beside] = {}
    if not any(True for _ in _held_beside(network)):
        return []

    def forward(model: nn.Module, inputs: Any) -> Any:
        with _Operands(network, found):
            return network.forward(model, inputs)

    watched = copy.copy(network)
    watched.forward = forward
    with undisturbed(), torch.no_grad():
        for sample in split(take(samples, slice(0, _LOOKED_AT)), 1):
            watched.run(sample)
    return list(found.values())


class _Operands(TorchFunctionMode):
    """Inside the block, notes the tensors of a network that are operands of products.

    Args:
        network: holds, in this pass, the tensors to look for.
        found: where they are noted, by name.
    """

    def __init__(self, network: PrivateNetwork, found: dict[str, Beside]) -> None:
        super().__init__()
        # The tensors are kept, so that nothing else comes to lie on their memory.
        self._held = list(_held_beside(network))
        self._known = {_memory(value): beside for beside, value in self._held}
        self._found = found

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        for value in _weights(func, args, named):
            beside = self._known.get(_memory(value))
            if beside is not None:
                self._found.setdefault(beside.name, beside)
        return func(*args, **named)


def _held_beside(network: PrivateNetwork) -> Iterator[tuple[Beside, Tensor]]:
    """Give the floating tensors of two axes or more that are no parameters."""
    model = network.model
    buffers = {id(value) for module in model.modules() for value in module._buffers.values()}
    seen = {_memory(value) for _, _, value in places(model) if id(value) not in buffers}
    modules = dict(model.named_modules())
    for name, value in model.named_buffers():
        if _is_weight(value) and _memory(value) not in seen:
            seen.add(_memory(value))
            kind = type(modules[name.rpartition(".")[0]]).__name__
            yield Beside(name, kind, "a buffer of its own"), value
    for place in network.held:
        if _is_weight(place.tensor) and _memory(place.tensor) not in seen:
            seen.add(_memory(place.tensor))
            kind, what = type(_holder(modules, place.name)).__name__, "no parameter"
            if isinstance(place.tensor, nn.Parameter):
                what = "of a module that is not registered"
            name = _OF_MODULE.sub(r".\1", place.name)
            yield Beside(name, kind, f"a tensor of its own, {what}"), place.tensor


def _is_weight(value: Tensor) -> bool:
    return value.dim() >= 2 and value.is_floating_point()


def _holder(modules: dict[str, nn.Module], name: str) -> nn.Module:
    """Find the module, of the longest name, in an attribute of which something is."""
    path = name.partition("[")[0].partition(":")[0]
    while path not in modules:
        path = path.rpartition(".")[0]
    return modules[path]


def _memory(value: Tensor) -> int | None:
    """Return where the numbers of a tensor lie; None where it does not say it."""
    while is_functorch_wrapped_tensor(value):  # as those are that vmap maps over
        value = get_unwrapped(value)
    try:
        return values_of(value).untyped_storage().data_ptr()
    except NotImplementedError:
        return None


def _weights(func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> list[Tensor]:
    """Give the operands of a call that may be weights."""
    if func in _WEIGHT_AT:
        place = _WEIGHT_AT[func]
        given: Any = args[place] if len(args) > place else named.get("weight")
    elif func in _PRODUCTS:
        given = (args, named)
    else:
        return []
    return [value for value in _pytree.tree_leaves(given) if isinstance(value, Tensor)]
