"""What the computation of a statistic may use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gp_emq.networks import (
    Layer,
    Samples,
    entry_layers,
    ones_like_one,
    take,
    values_per_sample,
)
from gp_emq.quantization import WeightQuantizer, batch_norms
from gp_emq.statistics import _activations, _curvature, _derivatives
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._header import Header
from gp_emq.statistics._layout import Layout
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._rounding import Rounding
from gp_emq.statistics._seeds import CURVATURE, generator
from gp_emq.statistics._settings import StatisticsSettings
from gp_emq.statistics._sources import GRIDS, INDEPENDENCE


@dataclass(frozen=True)
class Inputs:
    """What the user gave.

    Attributes:
        images: float32 (n, C, H, W), or other samples.
        labels: int64 (n,), or None for the network's own predictions.
        quantizer: Quantizer of the weights.
        settings: How to collect.
        rounding: How the recipe rounds weights; None for to the nearest.
    """

    images: Samples
    labels: Samples | None
    quantizer: WeightQuantizer
    settings: StatisticsSettings
    rounding: Rounding | None = None


class Context:
    """What a computation may use.

    Args:
        header: Identity of the statistics.
        inputs: What the user gave.
        network: The network, with its layers in the order of the buffers.
        lookup: Gives the values of another statistic.
        layout_of: Gives the layout of another that has one tensor per layer.
    """

    def __init__(
        self,
        header: Header,
        inputs: Inputs,
        network: FunctionalNetwork,
        lookup: Callable[[str], Tensor],
        layout_of: Callable[[str], Layout],
    ) -> None:
        self.header = header
        self.quantizer = inputs.quantizer
        self.settings = inputs.settings
        self.rounding = inputs.rounding
        self.network = network
        self.lookup = lookup
        self.layout_of = layout_of
        self._inputs = inputs

    @cached_property
    def is_independent(self) -> bool:
        """Whether an image's outputs are in every batch those that it has alone."""
        return bool(self.lookup(INDEPENDENCE)[0])

    @cached_property
    def adds_up(self) -> bool:
        """Whether layers give as many numbers for a batch as for its images alone."""
        return bool(self.lookup(INDEPENDENCE)[1])

    @cached_property
    def by_rows(self) -> bool:
        """Whether, besides, every call of every layer has one row for each image."""
        return bool(self.lookup(INDEPENDENCE).all())

    @property
    def images(self) -> Samples:
        """The calibration images, float32 (n, ...)."""
        return self._inputs.images

    @property
    def chunk(self) -> int:
        """Images that may go through the network at once, if none sees another."""
        return self.settings.chunk(values_per_sample(self.images))

    @property
    def ones(self) -> Samples:
        """One sample of ones, (1, C, H, W)."""
        return ones_like_one(self.images)

    @cached_property
    def batch(self) -> Batch:
        """The calibration batch, with the network's predictions where it has no labels."""
        images, labels = self._inputs.images, self._inputs.labels
        chunk = self.chunk if self.is_independent else 1
        if labels is None:
            labels = self.network.predictions(images, chunk)
        return Batch(images, labels, chunk)

    @property
    def summed_batch(self) -> Batch:
        """The batch, for sums over what layers give: images that share calls one by one."""
        batch = self.batch
        return batch if self.adds_up else Batch(batch.images, batch.labels, 1)

    @cached_property
    def kept_images(self) -> Tensor:
        """The images whose activations are kept, int64 (k,)."""
        return _activations.kept_images(
            len(self.batch), self.settings.activation_images, self.settings.seed
        )

    @cached_property
    def probed(self) -> Samples:
        """The images that derivatives are checked on: one, where each calls all layers alike."""
        several = self.is_independent and not self.by_rows
        return take(self.images, [0, -1] if several else [0])

    def check_judges(self) -> None:
        """Refuse a loss and a metric of the user's own that compare samples of a batch.

        Raises:
            StatisticsError: They do.
        """
        self._check_loss()
        self.network.workload.check_metric(self._outputs)

    def _check_loss(self) -> None:
        self.network.workload.check_loss(self._outputs, self.batch.labels)

    def _outputs(self, images: Samples) -> Any:
        return self.network.outputs(self.network.weights(), images)

    @cached_property
    def differentiable(self) -> FunctionalNetwork:
        """The network, once its gradients are known to be right.

        Raises:
            StatisticsError: They are not, or the loss has none for each sample.
        """
        self._check_loss()
        _derivatives.check_gradients(self.network, self.probed)
        return self.network

    @cached_property
    def differentiable_at_ones(self) -> FunctionalNetwork:
        """The network, once its gradients are known to be right for an all-ones image."""
        _derivatives.check_gradients(self.network, self.ones)
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
        most = self.settings.curvature_images(values_per_sample(self.images))
        batch = self.batch.part(most, generator(self.settings.seed, CURVATURE))
        return _curvature.Hessian(self.twice_differentiable, batch)

    def perturbations(self) -> list[Tensor]:
        """Quantized weight minus weight of each of the network's layers, ``(bits, *shape)`` each.

        Layers of one weight share the tensor.
        """
        owners = [layer.name for layer in self.header.weight_layers]
        by_owner = dict(zip(owners, self.own_perturbations(), strict=True))
        return [by_owner[layer.shares or layer.name] for layer in self.network.layers]

    @property
    def has_norms_to_renew(self) -> bool:
        """Whether the recipe leaves batch norms otherwise than as trained."""
        return self.settings.renormed and bool(batch_norms(self.network.network.model))

    def own_perturbations(self) -> list[Tensor]:
        """Quantized weight minus weight of each layer that owns its weight, ``(bits, *shape)``."""
        layout = self.header.weight_layout
        grids = WeightGrids.unpack(layout, self.lookup(GRIDS))
        return layout.views(grids.perturbation(self.lookup("weight"), 0, layout.size))

    def recipe_perturbations(self) -> list[Tensor]:
        """The same for weights as the recipe leaves them, which may learn how it rounds."""
        rounding = self.rounding
        if rounding is None:
            return self.own_perturbations()
        layers = self.header.weight_layers
        weights = self.header.weight_layout.views(self.lookup("weight"))
        return [
            torch.stack([rounding.weight(layer, width) for width in self.header.bits]) - weight
            for layer, weight in zip(layers, weights, strict=True)
        ]

    def quantized(self, place: int) -> FunctionalNetwork:
        """The network with all layers at the width of a place."""
        return self.network.moved([moved[place] for moved in self.own_perturbations()])

    def summed_by_entry(self, values: Tensor) -> Tensor:
        """Add up the layers of each entry.

        Args:
            values: (..., layers, bits), the layers as in the network's.

        Returns:
            (..., entries, bits).
        """
        entries = torch.tensor([layer.entry for layer in self.network.layers])
        shape = (*values.shape[:-2], 1 + int(entries.max()), values.shape[-1])
        return values.new_zeros(shape).index_add_(-2, entries, values)

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
