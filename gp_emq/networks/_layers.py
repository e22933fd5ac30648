"""Finding the layers of a network: its quantizable modules, in forward order."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks._layer import Layer
from gp_emq.networks._running import PrivateNetwork
from gp_emq.networks._samples import Samples, take
from gp_emq.networks._tracing import KINDS, QUANTIZABLE, Trace

_FEW = 16
"""Samples that are looked at first for the layers that they call."""


def find_layers(
    model: nn.Module, images: Tensor, ties: Sequence[Sequence[str]] = ()
) -> tuple[Layer, ...]:
    """Find the quantizable modules of a network by running images through it, one by one.

    Args:
        model: the network; a copy of it is run, in eval mode.
        images: (n, C, H, W); one is enough where every image calls the same layers.
        ties: groups of layer names that share one bit entry.

    Returns:
        The convolutions, `Linear` and `Embedding` modules that any image called, in the order of
        their first calls; their operations are the mean over the images. Layers whose weight is one
        parameter share an entry, as do those that are tied. Entries are numbered by their first
        layer.

    Raises:
        NetworkError: if nothing quantizable is called, the network fails or is itself a layer,
            or a tie names no such layer, names fewer than two, or shares a layer with another.
    """
    return layers_of(PrivateNetwork(model), images, ties)


def layers_of(
    network: PrivateNetwork, images: Samples, ties: Sequence[Sequence[str]] = ()
) -> tuple[Layer, ...]:
    """Find the layers of a network that is a private copy already; see `find_layers`."""
    if isinstance(network.model, QUANTIZABLE):
        kind = _kind(network.model)
        article = "an" if kind[0] in "AEIOU" else "a"
        raise NetworkError(
            f"the network is itself {article} {kind} and has no name to go by: give it as "
            "torch.nn.Sequential(network)"
        )
    trace = Trace(network)
    trace.run(images)
    if not trace.order:
        raise NetworkError(
            f"{type(network.model).__name__} called no {', '.join(KINDS[:-1])} or {KINDS[-1]} "
            "module: nothing to quantize"
        )
    for name in trace.order:
        if trace.modules[name]._parameters.get("weight") is None:
            raise NetworkError(f"the weight of layer {name!r} is no plain parameter of the network")
    owners = _first_owners({name: trace.modules[name] for name in trace.order})
    shared = [(name, owners[id(trace.modules[name].weight)]) for name in trace.order]
    entries = _number_entries(trace.order, ties, shared)
    return tuple(_layer(name, trace, entries[name], owners) for name in trace.order)


def called_layers(network: PrivateNetwork, samples: Samples) -> tuple[Layer, ...]:
    """Find the layers that samples call, with no more passes than it takes.

    Args:
        network: a private copy.
        samples: (n, ...). A few are run; all of them where these call different layers, as
            networks do that choose experts, or not all that there are.
    """
    few = layers_of(network, take(samples, slice(0, _FEW)))
    some = {id(network.model.get_submodule(layer.name)) for layer in few}
    every = {id(module) for module in network.model.modules() if isinstance(module, QUANTIZABLE)}
    if some == every and few == layers_of(network, take(samples, slice(0, 1))):
        return few
    return layers_of(network, samples)


def _first_owners(modules: Mapping[str, nn.Module]) -> dict[int, str]:
    """Map the identity of every parameter of some layers to the first layer that has it."""
    owners: dict[int, str] = {}
    for name, module in modules.items():
        for parameter in _own(module):
            owners.setdefault(id(parameter), name)
    return owners


def _own(module: nn.Module) -> list[nn.Parameter]:
    """Weight and, where it has one, bias of a layer."""
    found = (module._parameters.get(name) for name in ("weight", "bias"))
    return [parameter for parameter in found if parameter is not None]


def _kind(module: nn.Module) -> str:
    return next(kind.__name__ for kind in QUANTIZABLE if isinstance(module, kind))


def _layer(name: str, trace: Trace, entry: int, owners: Mapping[int, str]) -> Layer:
    module = trace.modules[name]
    parameters = _own(module)
    owner = owners[id(parameters[0])]
    return Layer(
        name=name,
        kind=_kind(module),
        weight_shape=tuple(parameters[0].shape),
        parameters=sum(value.numel() for value in parameters if owners[id(value)] == name),
        batch_norm_channels=trace.norm_channels.get(name, 0),
        macs=trace.macs(name),
        depth=trace.order.index(name),
        entry=entry,
        shares="" if owner == name else owner,
    )


def _number_entries(
    order: Sequence[str], ties: Sequence[Sequence[str]], groups: Sequence[Sequence[str]]
) -> dict[str, int]:
    """Number the entries by their first layer.

    Args:
        order: the layers in forward order.
        ties: the user's groups, checked here.
        groups: further ones, of layers that cannot differ.
    """
    _check_ties(order, ties)
    first = {name: name for name in order}
    for names in (*ties, *groups):
        # Whatever the group's members were tied to before joins as a whole.
        joined = {first[name] for name in names}
        least = min(joined, key=order.index)
        first.update({name: least for name, leader in first.items() if leader in joined})
    numbers: dict[str, int] = {}
    for name in order:
        numbers.setdefault(first[name], len(numbers))
    return {name: numbers[first[name]] for name in order}


def _check_ties(order: Sequence[str], ties: Sequence[Sequence[str]]) -> None:
    seen: set[str] = set()
    for names in ties:
        if len(names) < 2:
            raise NetworkError(f"a tie needs at least two layers, not {list(names)}")
        for name in names:
            if name not in order:
                raise NetworkError(f"tied layer {name!r} is none of {', '.join(order)}")
            if name in seen:
                raise NetworkError(f"layer {name!r} is in more than one tie")
            seen.add(name)
