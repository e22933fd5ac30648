"""Sums over all positions of the layers' outputs, of what quantizing a layer changes in its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gp_emq.networks import Layer, Samples, split
from gp_emq.statistics._changes import Changed, changed
from gp_emq.statistics._network import FunctionalNetwork

ENERGY, RESIDUAL, RELATIVE, RELATIVE_RESIDUAL, BY_CHANNEL = range(5)
"""The places of what `output_sums` gives."""


class _Moments:
    """Moments of one layer's output y and of its change Δ at each width, channel by channel.

    Parts are merged as by Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for
    computing sample variances (1979), so that large means cost no digits.

    Args:
        widths: How many widths.
    """

    def __init__(self, widths: int) -> None:
        self.count = 0
        self._widths = widths
        self._means: Tensor | None = None
        self._squares = self._products = torch.zeros(0)

    def add(self, call: Changed, layer: Layer) -> None:
        """Add all positions of a call."""
        output = _by_channel(call.output, layer)
        count = output.shape[1]
        means, squares, products = [output.mean(dim=1)], [], []
        output = output - means[0][:, None]
        squares.append(output.square().sum(dim=1))
        for change in call.changes:
            values = _by_channel(change, layer)
            means.append(values.mean(dim=1))
            values = values - means[-1][:, None]
            squares.append(values.square().sum(dim=1))
            products.append((values * output).sum(dim=1))
        self._merge(count, torch.stack(means), torch.stack(squares), torch.stack(products))

    def _merge(self, count: int, means: Tensor, squares: Tensor, products: Tensor) -> None:
        if self._means is None:
            self.count, self._means, self._squares, self._products = count, means, squares, products
            return
        shift, total = means - self._means, self.count + count
        share = self.count * count / total
        self._squares = self._squares + squares + share * shift.square()
        self._products = self._products + products + share * shift[:1] * shift[1:]
        self._means = self._means + shift * (count / total)
        self.count = total

    def sums(self, images: int) -> Tensor:
        """Give what `output_sums` gives of this layer, (5, bits)."""
        found = torch.zeros(5, self._widths, dtype=torch.float64)
        if self._means is None:
            return found
        energies = (self._squares + self.count * self._means.square()).sum(dim=1)
        spread, moved = self._squares[0], self._squares[1:]
        # A spread that float32 cannot tell beside the output is none.
        least = torch.finfo(torch.float32).eps ** 2 * self.count * self._means[0].square()
        has_spread = spread > least
        spread = torch.where(has_spread, spread, torch.ones_like(spread))
        undone = torch.where(has_spread, self._products.square() / spread, 0.0)
        residuals = (moved - undone).clamp(min=0)
        found[ENERGY] = energies[1:] / images
        found[RESIDUAL] = residuals.sum(dim=1) / images
        found[RELATIVE] = _relative(energies[1:], energies[0])
        found[RELATIVE_RESIDUAL] = _relative(residuals.sum(dim=1), energies[0])
        found[BY_CHANNEL] = torch.where(has_spread, residuals / spread, 0.0).mean(dim=1)
        return found


def output_sums(
    network: FunctionalNetwork,
    images: Samples,
    chunk: int,
    perturbations: Sequence[Tensor],
    total: int,
) -> Tensor:
    """Sum over all images and positions what quantizing each layer alone changes in its output.

    With y the output, Δ its change, and r what the least-squares scale and shift of each channel
    leave of Δ (see `output_residual`, here over all positions):

    Args:
        network: The network.
        images: (n, ...).
        chunk: Images at once.
        perturbations: For each layer its quantized weight minus its weight, (bits, ...).
        total: How many images there are.

    Returns:
        float64 (5, layers, bits): Σ Δ² / n; Σ r² / n; Σ Δ² / Σ y²; Σ r² / Σ y²; the mean over
        channels of Σ r² / Σ (y − mean y)², where a channel of no spread counts 0. What changes
        nothing is 0.
    """
    moments = [_Moments(len(moved)) for moved in perturbations]
    for some in split(images, chunk):
        layers = changed(network, some, perturbations)
        for layer, moment, calls in zip(network.layers, moments, layers, strict=True):
            for call in calls:
                moment.add(call, layer)
    return torch.stack([moment.sums(total) for moment in moments], dim=1)


def _by_channel(values: Tensor, layer: Layer) -> Tensor:
    """Bring an output to float64 (channels, positions), on the CPU."""
    if layer.is_convolution:
        values = values[None] if values.dim() == len(layer.weight_shape) - 1 else values
        rows = values.transpose(0, 1).flatten(1)
    else:
        rows = values.reshape(-1, values.shape[-1]).T
    return rows.to("cpu", torch.float64)


def _relative(sums: Tensor, whole: Tensor) -> Tensor:
    return torch.where(sums > 0, sums / whole, torch.zeros_like(sums))
