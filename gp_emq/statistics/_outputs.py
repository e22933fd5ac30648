"""The statistics of what quantizing a layer does to its output."""

from gp_emq.statistics import _changes
from gp_emq.statistics._activations import Activations
from gp_emq.statistics._context import Context
from gp_emq.statistics._record import Aspect, Kind, Statistic
from gp_emq.statistics._sources import ELEMENTS


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


_ACTIVATION = frozenset({Aspect.ACTIVATION})

OUTPUTS = (
    Statistic("output_change", Kind.ACTIVATIONS_PER_BIT, "Δy",
              "what quantizing the layer's weight alone adds to that output",
              _output_change, _ACTIVATION),
    Statistic("output_residual", Kind.ACTIVATIONS_PER_BIT, "Δ̃y",
              "what no scale and shift of each channel undoes of that change",
              _output_residual, _ACTIVATION),
)  # fmt: skip
