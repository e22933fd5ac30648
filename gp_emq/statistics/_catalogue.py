"""Every statistic there is: what it is, how formulas write it, and how it is computed."""

import itertools
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.statistics import _activations, _curvature, _gradients, _outputs, _quantized
from gp_emq.statistics._activations import Activations
from gp_emq.statistics._context import Context
from gp_emq.statistics._fisher import fisher_diagonal
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._independence import independence
from gp_emq.statistics._record import Aspect, Computation, Kind, Statistic
from gp_emq.statistics._seeds import EIGENVECTORS, generator, rademacher
from gp_emq.statistics._sources import ELEMENTS, GRIDS, INDEPENDENCE


def _sum(values: Tensor, _sizes: Tensor) -> Tensor:
    return values.sum()


def _largest(values: Tensor, _sizes: Tensor) -> Tensor:
    return values[values.abs().argmax()]


def _mean(values: Tensor, sizes: Tensor) -> Tensor:
    return (values * sizes).sum() / sizes.sum()


def _hessian_gradient(context: Context) -> Tensor:
    return _curvature.hessian_gradient(context.hessian(), context.lookup("weight_gradient"))


def _hessian_diagonal(context: Context) -> Tensor:
    probes = _curvature.RademacherProbes(
        context.header.weight_layout.size,
        context.settings.hessian_probes,
        context.settings.seed,
    )
    gradients = context.header.weight_layout.views(context.lookup("weight_gradient"))
    hessian = context.hessian()
    return _curvature.hessian_diagonal(
        hessian,
        probes,
        _curvature.probe_sizes(gradients),
        each=context.settings.probes(hessian.batch.chunk, len(hessian.batch)),
    )


def _hessian_trace(context: Context) -> Tensor:
    return context.header.weight_layout.sum_entries(context.lookup("hessian_diagonal"))


def _hessian_top_eigenvalue(context: Context) -> Tensor:
    size = context.header.weight_layout.size
    noise = rademacher(size, generator(context.settings.seed, EIGENVECTORS))
    hessian = context.hessian()
    values = _curvature.top_eigenvalues(
        hessian,
        _curvature.first_vectors(hessian, context.lookup("weight_gradient"), noise),
        iterations=context.settings.power_iterations,
        tolerance=context.settings.power_tolerance,
    )
    return context.by_entry(context.header.weight_layers, values.tolist(), _largest)


def _parameter_count(context: Context) -> Tensor:
    layers = context.header.layers
    return context.by_entry(layers, [layer.parameters for layer in layers], _sum)


def _macs(context: Context) -> Tensor:
    layers = context.header.layers
    return context.by_entry(layers, [layer.macs for layer in layers], _sum)


def _depth(context: Context) -> Tensor:
    layers = context.header.layers
    return context.by_entry(layers, [layer.depth for layer in layers], _mean)


def _bits(context: Context) -> Tensor:
    widths = torch.tensor(context.header.bits, dtype=torch.float64)
    return widths.repeat(context.header.weight_layout.entry_count, 1)


def _grids(context: Context) -> Tensor:
    return WeightGrids.choose(
        context.lookup("weight"),
        context.header.weight_layout,
        context.header.bits,
        context.quantizer,
        [layer.name for layer in context.header.weight_layers],
    ).values


def _quantization_mse(context: Context) -> Tensor:
    weight = context.lookup("weight")
    layout = context.header.weight_layout
    grids = WeightGrids.unpack(layout, context.lookup(GRIDS))
    return torch.stack(
        [
            grids.perturbation(weight, start, stop).double().square().mean(dim=1)
            for start, stop in itertools.pairwise(layout.entry_bounds)
        ]
    )


def _activation(context: Context) -> Activations:
    return _activations.activation(
        context.network, context.batch, context.kept_images, by_rows=context.by_rows
    )


def _activation_gradient(context: Context) -> Activations:
    return _activations.activation_gradient(
        context.differentiable, context.batch, context.kept_images, by_rows=context.by_rows
    )


_GRADIENT, _CURVATURE = frozenset({Aspect.GRADIENT}), frozenset({Aspect.CURVATURE})
_ACTIVATION = frozenset({Aspect.ACTIVATION})

STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {
        statistic.name: statistic
        for statistic in (
            Statistic("weight", Kind.WEIGHTS, "W", "the layer's weight",
                      lambda context: _gradients.weight(context.network), exponent=1),
            Statistic("weight_gradient", Kind.WEIGHTS, "∇W",
                      "gradient of the mean cross-entropy by the weight",
                      lambda context: _gradients.weight_gradient(
                          context.differentiable, context.batch), _GRADIENT, exponent=-1),
            Statistic("virtual_gradient", Kind.WEIGHTS, "V",
                      "gradient of the summed logits for an all-ones image",
                      lambda context: _gradients.virtual_gradient(
                          context.differentiable_at_ones, context.ones), _GRADIENT, exponent=-1),
            Statistic("synflow_gradient", Kind.WEIGHTS, "Vₐ",
                      "the virtual gradient with every parameter replaced by its magnitude",
                      lambda context: _gradients.synflow_gradient(
                          context.differentiable_at_ones, context.ones), _GRADIENT, exponent=-1),
            Statistic("hessian_gradient", Kind.WEIGHTS, "H∇W",
                      "Hessian over all layers' weights times the weight gradient",
                      _hessian_gradient, _CURVATURE),
            Statistic("hessian_diagonal", Kind.WEIGHTS, "diag H",
                      "diagonal of the Hessian, by Hutchinson's estimator",
                      _hessian_diagonal, _CURVATURE, exponent=-2),
            Statistic("fisher_diagonal", Kind.WEIGHTS, "diag F",
                      "mean of the squared per-image weight gradients",
                      lambda context: fisher_diagonal(
                          context.differentiable, context.batch, by_rows=context.by_rows),
                      _GRADIENT, non_negative=True, exponent=-2),
            Statistic("perturbation", Kind.WEIGHTS_PER_BIT, "ΔW",
                      "quantized weight minus weight, for every bit width",
                      None, leaf="quantization_perturbation", exponent=1),
            Statistic("activation", Kind.ACTIVATIONS, "A",
                      "output of the layer, before batch norm, for a few images",
                      _activation, _ACTIVATION, exponent=1),
            Statistic("activation_gradient", Kind.ACTIVATIONS, "∇A",
                      "gradient of the batch's mean cross-entropy by that output",
                      _activation_gradient, _GRADIENT | _ACTIVATION, exponent=-1),
            Statistic("hessian_trace", Kind.LAYER_VECTOR, "tr H",
                      "trace of the Hessian's block, the sum of the diagonal's estimate",
                      _hessian_trace, _CURVATURE, exponent=-2),
            Statistic("hessian_top_eigenvalue", Kind.LAYER_VECTOR, "λ",
                      "eigenvalue of largest magnitude of the Hessian's block",
                      _hessian_top_eigenvalue, _CURVATURE, exponent=-2),
            Statistic("parameter_count", Kind.LAYER_VECTOR, "n", "number of weights and biases",
                      _parameter_count, non_negative=True, exponent=0),
            Statistic("macs", Kind.LAYER_VECTOR, "m",
                      "multiply-accumulate operations for one image", _macs, non_negative=True,
                      exponent=0),
            Statistic("depth", Kind.LAYER_VECTOR, "d",
                      "place in the forward order, counted from 0", _depth, non_negative=True,
                      exponent=0),
            Statistic("bits", Kind.BIT_TABLE, "b", "the bit width itself", _bits,
                      non_negative=True, informative=False, exponent=0),
            Statistic("quantization_mse", Kind.BIT_TABLE, "mse(ΔW)",
                      "mean squared quantization perturbation of the weight",
                      _quantization_mse, non_negative=True, exponent=2),
            *_outputs.OUTPUTS,
            *_quantized.QUANTIZED,
        )
    }
)  # fmt: skip
"""Every built-in statistic by name."""

INGREDIENTS: Mapping[str, Computation] = {
    GRIDS: _grids,
    INDEPENDENCE: lambda context: independence(context.network, context.images, context.chunk),
    ELEMENTS: lambda context: _activation(context).elements,
    **_outputs.INGREDIENTS,
    **_quantized.INGREDIENTS,
}
"""What is stored beside the statistics, since they or their users need it."""

_OWN: dict[str, Statistic] = {}


def add_statistic(statistic: Statistic) -> None:
    """Make a statistic of a user's own known by its name, in this process.

    Args:
        statistic: The record. A later one of the same name takes its place.

    Raises:
        StatisticsError: The name is a built-in one's, or cannot stand in an expression, or
            nothing says how it is computed.
    """
    name = statistic.name
    if name in STATISTICS or name in INGREDIENTS:
        raise StatisticsError(f"{name!r} is a built-in statistic; choose another name")
    if not (name.isascii() and name.isidentifier()) or statistic.leaf not in ("", name):
        raise StatisticsError(f"{name!r} cannot be the name of a statistic in expressions")
    if statistic.compute is None:
        raise StatisticsError(f"statistic {name!r} does not say how it is computed")
    if statistic.kind == Kind.WEIGHTS_PER_BIT:
        raise StatisticsError(f"statistic {name!r} cannot be WeightsPerBit, which is never stored")
    _OWN[name] = statistic


def is_own(name: str) -> bool:
    """Say whether a statistic is a user's own."""
    return name in _OWN


def computation_of(name: str) -> Computation:
    """Give how a statistic, or what is stored beside it, is computed."""
    found = INGREDIENTS.get(name) or record_of(name).compute
    assert found is not None  # noqa: S101 - the perturbation is never stored
    return found


def record_of(name: str) -> Statistic:
    """Look up a statistic, built-in or a user's own.

    Raises:
        StatisticsError: There is no such statistic.
    """
    found = STATISTICS.get(name) or _OWN.get(name)
    if found is None:
        raise StatisticsError(f"unknown statistic {name!r}; there are {', '.join(STATISTICS)}")
    return found


def kind_of(name: str) -> Kind:
    """Look up the kind of a statistic.

    Raises:
        StatisticsError: There is no such statistic.
    """
    return record_of(name).kind


def exponent_of(name: str) -> float | None:
    """Look up what rescaled weights make of a statistic, see `Statistic`.

    Raises:
        StatisticsError: There is no such statistic.
    """
    return record_of(name).exponent
