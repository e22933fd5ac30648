"""How each statistic is computed, by name."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gp_emq.networks import Layer, entry_layers
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import _activations, _curvature, _derivatives, _gradients
from gp_emq.statistics._activations import Activations
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._fisher import fisher_diagonal
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._header import Header
from gp_emq.statistics._independence import independence
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._seeds import CURVATURE, EIGENVECTORS, generator, rademacher
from gp_emq.statistics._settings import StatisticsSettings
from gp_emq.statistics._sources import ELEMENTS, GRIDS, INDEPENDENCE


@dataclass(frozen=True)
class Inputs:
    """What the user gave.

    Attributes:
        images: float32 (n, C, H, W).
        labels: int64 (n,), or None for the network's own predictions.
        quantizer: Quantizer of the weights.
        settings: How to collect.
    """

    images: Tensor
    labels: Tensor | None
    quantizer: WeightQuantizer
    settings: StatisticsSettings


class Context:
    """What a computation may use.

    Args:
        header: Identity of the statistics.
        inputs: What the user gave.
        network: The network, with its layers in the order of the buffers.
        lookup: Gives the values of another statistic.
    """

    def __init__(
        self,
        header: Header,
        inputs: Inputs,
        network: FunctionalNetwork,
        lookup: Callable[[str], Tensor],
    ) -> None:
        self.header = header
        self.quantizer = inputs.quantizer
        self.settings = inputs.settings
        self.network = network
        self.lookup = lookup
        self._inputs = inputs

    @cached_property
    def is_independent(self) -> bool:
        """Whether an image's outputs are in every batch those that it has alone."""
        return bool(self.lookup(INDEPENDENCE)[0])

    @cached_property
    def by_rows(self) -> bool:
        """Whether, besides, every call of every layer has one row for each image."""
        return bool(self.lookup(INDEPENDENCE).all())

    @property
    def images(self) -> Tensor:
        """The calibration images, float32 (n, ...)."""
        return self._inputs.images

    @property
    def chunk(self) -> int:
        """Images that may go through the network at once, if none sees another."""
        return self.settings.chunk(self._inputs.images[0].numel())

    @property
    def image_shape(self) -> torch.Size:
        """(C, H, W)."""
        return self._inputs.images.shape[1:]

    @cached_property
    def batch(self) -> Batch:
        """The calibration batch, with the network's predictions where it has no labels."""
        images, labels = self._inputs.images, self._inputs.labels
        chunk = self.chunk if self.is_independent else 1
        if labels is None:
            labels = self.network.predictions(images, chunk)
        return Batch(images, labels, chunk)

    @cached_property
    def kept_images(self) -> Tensor:
        """The images whose activations are kept, int64 (k,)."""
        return _activations.kept_images(
            len(self.batch), self.settings.activation_images, self.settings.seed
        )

    @cached_property
    def probed(self) -> Tensor:
        """The few images that derivatives are checked on: they may see each other or not."""
        return self.images[[0, -1]] if self.is_independent else self.images[:1]

    @cached_property
    def differentiable(self) -> FunctionalNetwork:
        """The network, once its gradients are known to be right.

        Raises:
            StatisticsError: They are not.
        """
        _derivatives.check_gradients(self.network, self.probed)
        return self.network

    @cached_property
    def differentiable_at_ones(self) -> FunctionalNetwork:
        """The network, once its gradients are known to be right for an all-ones image."""
        _derivatives.check_gradients(self.network, torch.ones(1, *self.image_shape))
        return self.network

    @cached_property
    def twice_differentiable(self) -> FunctionalNetwork:
        """The network, once its second derivatives are known to be right, too.

        Raises:
            StatisticsError: They are not.
        """
        _derivatives.check_curvature(self.differentiable, self.probed)
        return self.network

    def hessian(self) -> _curvature.Hessian:
        """The Hessian, afresh, so that its graph does not outlive one computation."""
        most = self.settings.curvature_images(self._inputs.images[0].numel())
        batch = self.batch.part(most, generator(self.settings.seed, CURVATURE))
        return _curvature.Hessian(self.twice_differentiable, batch)

    def by_entry(
        self,
        layers: Sequence[Layer],
        values: Sequence[float],
        combine: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Bring one number per layer to one per entry.

        Args:
            layers: The layers that have one.
            values: One for each.
            combine: Makes one number of an entry's values and its layers' weight sizes.

        Returns:
            float64 (entries,).
        """
        numbers = torch.tensor(values, dtype=torch.float64)
        sizes = torch.tensor(
            [torch.Size(layer.weight_shape).numel() for layer in layers], dtype=torch.float64
        )
        return torch.stack(
            [
                combine(numbers[list(members)], sizes[list(members)])
                for members in entry_layers(layers)
            ]
        )


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
    return _curvature.hessian_diagonal(context.hessian(), probes)


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


COMPUTATIONS: Mapping[str, Callable[[Context], Tensor | Activations]] = {
    "weight": lambda context: _gradients.weight(context.network),
    "weight_gradient": lambda context: _gradients.weight_gradient(
        context.differentiable, context.batch
    ),
    "virtual_gradient": lambda context: _gradients.virtual_gradient(
        context.differentiable_at_ones, context.image_shape
    ),
    "synflow_gradient": lambda context: _gradients.synflow_gradient(
        context.differentiable_at_ones, context.image_shape
    ),
    "hessian_gradient": _hessian_gradient,
    "hessian_diagonal": _hessian_diagonal,
    "fisher_diagonal": lambda context: fisher_diagonal(
        context.differentiable, context.batch, by_rows=context.by_rows
    ),
    "activation": _activation,
    "activation_gradient": _activation_gradient,
    "hessian_trace": _hessian_trace,
    "hessian_top_eigenvalue": _hessian_top_eigenvalue,
    "parameter_count": _parameter_count,
    "macs": _macs,
    "depth": _depth,
    "bits": _bits,
    "quantization_mse": _quantization_mse,
    GRIDS: _grids,
    INDEPENDENCE: lambda context: independence(context.network, context.images, context.chunk),
    ELEMENTS: lambda context: _activation(context).elements,
}
"""Every stored statistic, and what they or their users need besides."""
