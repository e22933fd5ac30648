"""The statistics at quantized networks, and those that are measured by quantizing.

Low widths leave the range in which a Taylor series at the float network holds, so that several
tools take their gradients at the network that is quantized already.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.statistics import _activations, _gradients
from gp_emq.statistics._activations import Activations
from gp_emq.statistics._context import Context
from gp_emq.statistics._divergence import divergence_gradient
from gp_emq.statistics._fisher import fisher_diagonal
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._one_at_a_time import DIVERGENCE, LOSS, METRIC, one_at_a_time
from gp_emq.statistics._record import Aspect, Computation, Kind, Statistic
from gp_emq.statistics._soundness import shares_explained
from gp_emq.statistics._sources import (
    AS_QUANTIZED,
    AS_QUANTIZED_LOW,
    AS_QUANTIZED_SOUND,
    ELEMENTS,
    ONE_AT_A_TIME,
    ONE_AT_A_TIME_LOW,
)

SOUND = 0.5
"""The share that a network explains of what the float one answers, from which on it works."""

At = Callable[[Context], FunctionalNetwork]
"""Gives the network that a statistic is of."""


def lowest(context: Context) -> FunctionalNetwork:
    """Give the network with all layers at the lowest width."""
    return context.quantized(0)


def middle(context: Context) -> FunctionalNetwork:
    """Give the network with all layers at the middle width; of two, the higher."""
    return context.quantized(len(context.header.bits) // 2)


def _differentiable(context: Context, at: At) -> FunctionalNetwork:
    """Give a quantized network, once the float network's gradients are known to be right."""
    assert context.differentiable is context.network  # noqa: S101 - else it raises
    return at(context)


def _weight_gradient(context: Context, at: At) -> Tensor:
    return _gradients.weight_gradient(_differentiable(context, at), context.batch)


def _fisher_diagonal(context: Context, at: At) -> Tensor:
    return fisher_diagonal(_differentiable(context, at), context.batch, by_rows=context.by_rows)


def _activation_gradient(context: Context, at: At) -> Activations:
    found = _activations.activation_gradient(
        _differentiable(context, at), context.batch, context.kept_images, by_rows=context.by_rows
    )
    reached = (found.elements == context.lookup(ELEMENTS)).all(dim=1)
    if not bool(reached.all()):
        layer = context.network.layers[int(reached.to(torch.int8).argmin())]
        raise StatisticsError(
            f"layer {layer.name!r} sees other images, or other parts of them, once all layers are "
            "quantized: gradients by activations there have no place among those of the float "
            "network"
        )
    return found


def _divergence_gradient(context: Context, at: At) -> Tensor:
    return divergence_gradient(context.network, _differentiable(context, at), context.batch)


def _one_at_a_time(context: Context, around: FunctionalNetwork) -> Tensor:
    return one_at_a_time(context.network, around, context.batch, context.own_perturbations())


def _as_quantized(context: Context, plain: str, place: int | None) -> Tensor:
    """Measure with weights and batch norms as the recipe leaves them.

    Args:
        context: What may be used.
        plain: Measured with weights rounded to the nearest and batch norms as trained, which is the
            same where the recipe changes neither.
        place: Of the width that all other entries have; None for float.
    """
    if context.rounding is None and not context.has_norms_to_renew:
        return context.lookup(plain)
    return _around(context, context.recipe_perturbations(), place)


def _around(context: Context, moved: Sequence[Tensor], place: int | None) -> Tensor:
    """Measure as the recipe leaves the network around one width."""
    return one_at_a_time(
        context.network,
        context.network if place is None else _uniform(context, moved, place),
        context.batch,
        moved,
        renormed=context.has_norms_to_renew,
    )


def _uniform(context: Context, moved: Sequence[Tensor], place: int) -> FunctionalNetwork:
    return context.network.moved([widths[place] for widths in moved])


def _sound(context: Context) -> Tensor:
    """Measure around the network at the lowest uniform width that works, else the float one."""
    renormed, moved = context.has_norms_to_renew, context.recipe_perturbations()
    widths = range(len(context.header.bits))
    uniform = (_uniform(context, moved, place) for place in widths)
    shares = shares_explained(context.network, uniform, context.batch, renormed=renormed)
    place = next((place for place in widths if shares[place] >= SOUND), None)
    if place is None:
        return context.lookup(AS_QUANTIZED)
    if place == 0:
        return context.lookup(AS_QUANTIZED_LOW)
    return _around(context, moved, place)


INGREDIENTS: Mapping[str, Computation] = {
    ONE_AT_A_TIME: lambda context: _one_at_a_time(context, context.network),
    ONE_AT_A_TIME_LOW: lambda context: _one_at_a_time(context, lowest(context)),
    AS_QUANTIZED: lambda context: _as_quantized(context, ONE_AT_A_TIME, None),
    AS_QUANTIZED_LOW: lambda context: _as_quantized(context, ONE_AT_A_TIME_LOW, 0),
    AS_QUANTIZED_SOUND: _sound,
}
"""What several of the statistics are parts of, so that they share its passes."""

_GRADIENT = frozenset({Aspect.GRADIENT})


def _at(name: str, sign: str, where: str, at: At) -> tuple[Statistic, ...]:
    """Make the records of one quantized network."""
    return (
        Statistic(f"weight_gradient_{name}", Kind.WEIGHTS, f"∇W{sign}",
                  f"the weight gradient {where}", partial(_weight_gradient, at=at), _GRADIENT,
                  exponent=-1),
        Statistic(f"fisher_diagonal_{name}", Kind.WEIGHTS, f"diag F{sign}",
                  f"the Fisher diagonal {where}", partial(_fisher_diagonal, at=at), _GRADIENT,
                  non_negative=True, exponent=-2),
        Statistic(f"activation_gradient_{name}", Kind.ACTIVATIONS, f"∇A{sign}",
                  f"the activation gradient {where}", partial(_activation_gradient, at=at),
                  _GRADIENT | {Aspect.ACTIVATION}, exponent=-1),
        Statistic(f"divergence_gradient_{name}", Kind.WEIGHTS, f"∇D{sign}",
                  "gradient by the weight of the divergence from the float network's outputs, "
                  f"{where}", partial(_divergence_gradient, at=at), _GRADIENT, exponent=-1),
    )  # fmt: skip


def _looked_up(context: Context, source: str, place: int) -> Tensor:
    if place != DIVERGENCE:
        context.check_judges()
    return context.lookup(source)[place]


def _measured(name: str, symbol: str, description: str, source: str, place: int) -> Statistic:
    """Make the record of what was measured with one entry quantized at a time."""
    return Statistic(
        name,
        Kind.BIT_TABLE,
        symbol,
        description,
        partial(_looked_up, source=source, place=place),
        frozenset({Aspect.ACTIVATION, Aspect.MEASUREMENT}),
        exponent=0,
    )


_FLOAT = "with the entry alone quantized"
_RENORMED = "weights and batch norms as the recipe leaves them"
_LOW = "with the entry at this width and all others at the lowest, beyond all at the lowest"

QUANTIZED = (
    *_at("low", "₀", "with all layers at the lowest width", lowest),
    *_at("middle", "₁", "with all layers at the middle width", middle),
    _measured("measured_loss", "ΔL", f"change of the loss {_FLOAT}", ONE_AT_A_TIME, LOSS),
    _measured("measured_divergence", "ΔD",
              f"divergence of the network's outputs {_FLOAT}: KL of logits",
              ONE_AT_A_TIME, DIVERGENCE),
    _measured("measured_metric", "ΔM", f"how much worse the metric is {_FLOAT}",
              ONE_AT_A_TIME, METRIC),
    _measured("measured_loss_low", "ΔL₀", f"change of the loss {_LOW}", ONE_AT_A_TIME_LOW, LOSS),
    _measured("measured_divergence_low", "ΔD₀", f"change of the divergence {_LOW}",
              ONE_AT_A_TIME_LOW, DIVERGENCE),
    _measured("recipe_divergence", "ΔDᴿ",
              f"divergence of the network's outputs {_FLOAT}, {_RENORMED}",
              AS_QUANTIZED, DIVERGENCE),
    _measured("recipe_divergence_low", "ΔD₀ᴿ",
              f"change of the divergence {_LOW}, {_RENORMED}",
              AS_QUANTIZED_LOW, DIVERGENCE),
    _measured("recipe_divergence_sound", "ΔDₛᴿ",
              "the same with the lowest width at which the network works in place of the lowest",
              AS_QUANTIZED_SOUND, DIVERGENCE),
)  # fmt: skip
"""The records, in the order of the catalogue."""
