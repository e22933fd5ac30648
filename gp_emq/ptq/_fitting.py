"""What a plan says of a network's layers, once it is known to fit them."""

from collections.abc import Mapping

import numpy as np
from torch import nn

from gp_emq.allocation import FLOAT_BITS, Plan
from gp_emq.errors import QuantizationError
from gp_emq.files import shortened
from gp_emq.networks import (
    Layer,
    PrivateNetwork,
    Samples,
    layers_of,
    take,
    with_shared_embeddings,
)
from gp_emq.quantization import MAX_BITS, MIN_BITS


def check_plan(plan: object) -> None:
    """Refuse what is neither a plan nor widths by name.

    Raises:
        QuantizationError: It is anything else, or a width is no whole number.
    """
    if isinstance(plan, Plan):
        return
    if not isinstance(plan, Mapping):
        raise QuantizationError(
            f"the plan is {type(plan).__name__}: give what allocate or load_plan returns, or a "
            "dict of widths by name of the layer"
        )
    for name, width in plan.items():
        if isinstance(width, bool) or not isinstance(width, (int, np.integer)):
            raise QuantizationError(
                f"the plan gives layer {name!r} {shortened(width)} bits, which is no whole number"
            )


def planned_layers(
    network: PrivateNetwork, images: Samples, plan: Plan | Mapping[str, int]
) -> tuple[Layer, ...]:
    """Find the layers that the first image calls, or all images where the plan has others."""
    found = layers_of(network, take(images, slice(0, 1)))
    if set(_names(plan)) <= {layer.name for layer in found}:
        return found
    return layers_of(network, images)


def planned_widths(
    plan: Plan | Mapping[str, int], layers: tuple[Layer, ...], model: nn.Module
) -> dict[str, int]:
    """Return the width of every layer to quantize, in forward order.

    Args:
        plan: As `check_plan` lets pass.
        layers: Those of the network.
        model: The network, which errors name.

    Raises:
        QuantizationError: The plan does not fit the network, a width is out of range, layers that
            share a weight have several, or no layer is quantized.
    """
    network = type(model).__name__
    _check_names(plan, layers, network)
    if isinstance(plan, Plan):
        _check_layers(plan, layers, network)
    given = plan.widths if isinstance(plan, Plan) else dict(plan)
    for name, width in given.items():
        if width != FLOAT_BITS and not MIN_BITS <= width <= MAX_BITS:
            raise QuantizationError(
                f"the plan gives layer {name!r} {width} bits: {MIN_BITS} to {MAX_BITS}, or "
                f"{FLOAT_BITS} for float"
            )
    given = with_shared_embeddings(layers, given)
    known = [layer.name for layer in layers]
    widths = {name: given[name] for name in known if given.get(name, FLOAT_BITS) != FLOAT_BITS}
    if not widths:
        raise QuantizationError("the plan quantizes no layer")
    _check_shared(layers, widths)
    return widths


def _names(plan: Plan | Mapping[str, int]) -> list[str]:
    """List the layers that a plan says something of."""
    return [item.name for item in plan.layers] if isinstance(plan, Plan) else list(plan)


def _check_names(plan: Plan | Mapping[str, int], layers: tuple[Layer, ...], network: str) -> None:
    """Refuse a plan of layers that the network has not."""
    names = [layer.name for layer in layers]
    unknown = [name for name in _names(plan) if name not in names]
    if unknown:
        shown = ", ".join(names if len(names) <= 12 else [*names[:10], "...", names[-1]])
        raise QuantizationError(f"the plan has a layer {unknown[0]!r}, but {network} has {shown}")


def _check_layers(plan: Plan, layers: tuple[Layer, ...], network: str) -> None:
    """Refuse a plan of layers of other shapes, or one that says nothing of some layers."""
    shapes = {layer.name: layer.weight_shape for layer in layers}
    for item in plan.layers:
        shape = shapes[item.name]
        if item.layer.weight_shape != shape:
            raise QuantizationError(
                f"the plan's layer {item.name!r} has a weight of shape {item.layer.weight_shape}, "
                f"but that of {network} has {shape}"
            )
    missing = plan.unplanned(layers)
    if missing:
        raise QuantizationError(
            f"the plan is of another network: it says nothing of layer {missing[0]!r}, the "
            f"first of {len(missing)} layers of {network} that it lacks"
        )


def _check_shared(layers: tuple[Layer, ...], widths: Mapping[str, int]) -> None:
    """Refuse a plan that gives one weight, shared by several layers, several widths."""
    for layer in layers:
        if not layer.shares:
            continue
        mine, theirs = (widths.get(name, FLOAT_BITS) for name in (layer.name, layer.shares))
        if mine != theirs:
            raise QuantizationError(
                f"layers {layer.shares!r} and {layer.name!r} share one weight, but the plan gives "
                f"them {theirs} and {mine} bits"
            )
