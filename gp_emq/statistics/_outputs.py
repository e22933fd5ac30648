"""The statistics of what quantizing a layer does to its output."""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor

from gp_emq.statistics import _changes
from gp_emq.statistics._activations import Activations
from gp_emq.statistics._context import Context
from gp_emq.statistics._gradient_sums import FORM, WEIGHTED, gradient_sums
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._output_sums import (
    BY_CHANNEL,
    ENERGY,
    RELATIVE,
    RELATIVE_RESIDUAL,
    RESIDUAL,
    output_sums,
)
from gp_emq.statistics._record import Aspect, Computation, Kind, Statistic
from gp_emq.statistics._sources import ELEMENTS, GRADIENT_SUMS, GRIDS, OUTPUT_SUMS


def _output_change(context: Context) -> Activations:
    return _changes.output_change(
        context.network,
        context.batch,
        context.kept_images,
        context.perturbations(),
        by_rows=context.by_rows,
    )


def _output_residual(context: Context) -> Activations:
    layout, elements = context.layout_of("activation"), context.lookup(ELEMENTS)
    values = _changes.output_residual(
        context.lookup("output_change"),
        context.lookup("activation"),
        layout,
        context.network.layers,
        elements,
    )
    return Activations(values, layout.shapes, elements)


def _output_sums(context: Context) -> Tensor:
    batch = context.summed_batch
    sums = output_sums(
        context.network, batch.images, batch.chunk, context.perturbations(), len(batch)
    )
    return context.summed_by_entry(sums)


def _gradient_sums(context: Context) -> Tensor:
    return gradient_sums(
        context.differentiable,
        context.summed_batch,
        context.perturbations(),
        by_rows=context.by_rows,
    )


def _curvature_form(context: Context) -> Tensor:
    layout = context.header.weight_layout
    weight, magnitude = context.lookup("weight"), context.lookup("hessian_diagonal").abs().double()
    grids = WeightGrids.unpack(layout, context.lookup(GRIDS))
    return torch.stack(
        [
            grids.perturbation(weight, start, stop).double().square() @ magnitude[start:stop]
            for start, stop in itertools.pairwise(layout.entry_bounds)
        ]
    )


INGREDIENTS: Mapping[str, Computation] = {
    OUTPUT_SUMS: _output_sums,
    GRADIENT_SUMS: _gradient_sums,
}
"""What several of the statistics are parts of, so that they share its passes."""

_ACTIVATION = frozenset({Aspect.ACTIVATION})
_GRADIENT = frozenset({Aspect.GRADIENT})


def _sums(name: str, symbol: str, description: str, place: int, exponent: int = 0) -> Statistic:
    """Make the record of a part of the sums over outputs."""
    return Statistic(
        name,
        Kind.BIT_TABLE,
        symbol,
        description,
        lambda context: context.lookup(OUTPUT_SUMS)[place],
        _ACTIVATION,
        non_negative=True,
        exponent=exponent,
    )


OUTPUTS = (
    Statistic("output_change", Kind.ACTIVATIONS_PER_BIT, "Δy",
              "what quantizing the layer's weight alone adds to that output",
              _output_change, _ACTIVATION, exponent=1),
    Statistic("output_residual", Kind.ACTIVATIONS_PER_BIT, "Δ₀y",
              "what no scale and shift of each channel undoes of that change",
              _output_residual, _ACTIVATION, exponent=1),
    _sums("output_change_energy", "‖Δy‖²",
          "squared change of the layer's output, over all positions, per image", ENERGY, 2),
    _sums("output_residual_energy", "‖Δ₀y‖²",
          "the same of what no scale and shift of each channel undoes", RESIDUAL, 2),
    _sums("relative_output_change", "ρ(Δy)",
          "squared change of the layer's output relative to the squared output, over all positions",
          RELATIVE),
    _sums("relative_output_residual", "ρ(Δ₀y)",
          "the same of what no scale and shift of each channel undoes", RELATIVE_RESIDUAL),
    _sums("channel_output_residual", "ρ₁(Δ₀y)",
          "the same relative to each channel's own spread, on average over channels", BY_CHANNEL),
    Statistic("gradient_output_change", Kind.BIT_TABLE, "E‖∇y·Δy‖²",
              "squared output gradient times squared change of the output, over all positions, on "
              "average over images", lambda context: context.lookup(GRADIENT_SUMS)[WEIGHTED],
              _GRADIENT | _ACTIVATION, non_negative=True, exponent=0),
    Statistic("fisher_form", Kind.BIT_TABLE, "E(∇W·ΔW)²",
              "squared product of an image's gradient and the perturbation, on average over "
              "images: the whole empirical Fisher form",
              lambda context: context.lookup(GRADIENT_SUMS)[FORM], _GRADIENT, non_negative=True,
              exponent=0),
    Statistic("curvature_form", Kind.BIT_TABLE, "diag H[ΔW²]",
              "magnitude of the Hessian's diagonal times the squared perturbation",
              _curvature_form, frozenset({Aspect.CURVATURE}), non_negative=True, exponent=0),
)  # fmt: skip
"""The records, in the order of the catalogue."""
