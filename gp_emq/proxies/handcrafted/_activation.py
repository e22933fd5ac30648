"""Proxies of layers' outputs that no formula over single layers can say: OMPQ and Fisher."""

import torch
from torch import Tensor, nn

from gp_emq.networks import Layer
from gp_emq.proxies._inputs import ProxyInputs


def ompq(inputs: ProxyInputs, beta: float = 1.0) -> Tensor:
    """OMPQ's objective: an entry's bits times the mean importance of it and all after it.

    Source: Ma et al., OMPQ: Orthogonal mixed precision quantization, 2021.

    Args:
        inputs: Gives the statistics.
        beta: How sharply importance falls with the sum of a layer's similarities.

    Returns:
        Oriented table, float64 (entries, bits).
    """
    layers, importance = _importance(inputs, beta)
    later = importance.flip(0).cumsum(0).flip(0)
    later /= torch.arange(len(layers), 0, -1, dtype=torch.float64)
    return _times_bits(inputs, layers, later)


def ompq_as_published(inputs: ProxyInputs, beta: float = 1.0) -> Tensor:
    """OMPQ as ranking scripts have it: bits times the importance of the layer itself."""
    layers, importance = _importance(inputs, beta)
    return _times_bits(inputs, layers, importance)


def orthogonality(features: list[Tensor]) -> Tensor:
    """Similarity of the layers' features over the images, 0 where they are orthogonal.

    Args:
        features: One (images, features) tensor per layer.

    Returns:
        float64 (layers, layers): ⟨Gᵢ, Gⱼ⟩ / (‖Gᵢ‖‖Gⱼ‖) of the centred Gram matrices G.
    """
    rows = []
    for feature in features:
        centred = feature.double() - feature.double().mean(dim=0)
        gram = (centred @ centred.T).reshape(-1)
        norm = gram.norm()
        rows.append(gram / norm if norm > 0 else gram)
    stacked = torch.stack(rows)
    return stacked @ stacked.T


def fisher(inputs: ProxyInputs) -> Tensor:
    """Fisher pruning's saliency of a layer's channels, times bits.

    The saliency of a channel is ½ Σ over images of (Σ over positions of activation times
    gradient)². Source: Theis et al., Faster gaze prediction with dense networks and Fisher
    pruning, 2018, as zero-cost proxies use it.

    Returns:
        Oriented table, float64 (entries, bits).
    """
    statistics = inputs.statistics
    layout = statistics.layout("Activations")
    products = statistics.tensor("activation") * statistics.tensor("activation_gradient")
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    saliencies = [
        0.5 * _channel_sums(layer, view, counts).square().sum()
        for layer, view, counts in zip(
            layers, layout.views(products.double()), statistics.activation_elements(), strict=True
        )
    ]
    totals = torch.zeros(layout.entry_count, dtype=torch.float64)
    totals.index_add_(0, torch.tensor(layout.entries), torch.stack(saliencies))
    return totals[:, None] * statistics.tensor("bits")


def _channel_sums(layer: Layer, values: Tensor, counts: Tensor) -> Tensor:
    """Sum each channel over the calls and positions of each image.

    Args:
        layer: The layer: channels are the second axis of a convolution's output and the last of
            a product's.
        values: A tensor shaped as its activation.
        counts: int64 (images,), how many elements are of each image.

    Returns:
        (images, channels).
    """
    is_convolution = layer.is_convolution
    if values.dim() == 1:
        parts = torch.split(values, counts.tolist())
        shape = (layer.output_channels, -1) if is_convolution else (-1, layer.output_channels)
        return torch.stack([part.view(shape).sum(dim=int(is_convolution)) for part in parts])
    if values.dim() > 2:
        values = (
            values.flatten(2).sum(dim=2) if is_convolution else values.flatten(1, -2).sum(dim=1)
        )
    if len(values) == len(counts):
        return values
    elements = int(counts.sum()) // len(values)
    owners = torch.repeat_interleave(torch.arange(len(counts)), counts // max(1, elements))
    sums = torch.zeros(len(counts), values.shape[1], dtype=values.dtype)
    return sums.index_add_(0, owners, values[: len(owners)])


def _features(values: Tensor, counts: Tensor) -> Tensor:
    """Give each image's elements of an activation, filled up with zeros: (images, features)."""
    parts = torch.split(values.reshape(-1)[: int(counts.sum())], counts.tolist())
    return nn.utils.rnn.pad_sequence(list(parts), batch_first=True)


def _importance(inputs: ProxyInputs, beta: float) -> tuple[list[int], Tensor]:
    """Forward order as places in the buffers, and exp(−β Σ similarities) in that order."""
    statistics = inputs.statistics
    views = statistics.layout("Activations").views(statistics.tensor("activation"))
    stored = sorted(statistics.layers, key=lambda layer: layer.entry)
    order = sorted(range(len(stored)), key=lambda place: stored[place].depth)
    counts = statistics.activation_elements()
    similar = orthogonality([_features(views[place], counts[place]) for place in order])
    return order, torch.exp(-beta * (similar.sum(dim=1) - similar.diagonal()))


def _times_bits(inputs: ProxyInputs, order: list[int], values: Tensor) -> Tensor:
    """Average values over tied layers by their weights' elements and multiply with bits."""
    statistics = inputs.statistics
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    sums = torch.zeros(1 + layers[-1].entry, dtype=torch.float64)
    weights = torch.zeros_like(sums)
    for place, value in zip(order, values, strict=True):
        size = float(torch.Size(layers[place].weight_shape).numel())
        sums[layers[place].entry] += value * size
        weights[layers[place].entry] += size
    return (sums / weights)[:, None] * statistics.tensor("bits")
