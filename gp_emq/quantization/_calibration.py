"""Choosing the grids of what layers are fed, from calibration images."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gp_emq.errors import NetworkError, QuantizationError
from gp_emq.networks import (
    Layer,
    PrivateNetwork,
    Samples,
    count,
    take,
    tensors_of,
    undisturbed,
)
from gp_emq.quantization._histogram import Histogram
from gp_emq.quantization._inputs import watch_inputs
from gp_emq.quantization._passes import CHUNK, passes, private
from gp_emq.quantization._quantizers import ActivationQuantizer
from gp_emq.quantization._ranges import PERCENTILE, check_scales, spanning
from gp_emq.quantization._scales import least_error, shaped_parameters
from gp_emq.quantization._uniform import QuantizationParameters, in_full_precision

PARTS = 32
"""Batches that the images are taken in where outliers are looked for."""
OUTLIER = 20.0
"""Times as large as in the middle one of all parts: what is larger is an outlier."""


def calibrate_activations(
    model: nn.Module | PrivateNetwork,
    layers: Sequence[Layer],
    images: Samples,
    quantizer: ActivationQuantizer,
) -> tuple[QuantizationParameters | None, ...]:
    """Choose the grid of every layer's input from images through the float network.

    The grid of a layer is chosen from the inputs of all of its calls. The rule `minmax` spans them
    all. The others leave outliers out: they take the images in 32 parts, and nothing of a part in
    which a layer's largest input is more than 20 times what it is in the middle one of the parts.
    Where a network's images see each other there is one part. A layer whose inputs are all zero
    has a scale of 1.

    Args:
        model: the float network; it is left alone.
        layers: its layers.
        images: (n, C, H, W).
        quantizer: how inputs are quantized.

    Returns:
        One grid per layer, in the order of `layers`; None for those that take indices.

    Raises:
        NetworkError: if no image calls a layer.
        QuantizationError: if the inputs of a layer are too small for a scale in float32.
    """
    fed = [layer for layer in layers if not layer.takes_indices]
    names = [layer.name for layer in fed]
    network = private(model)
    if not fed:
        return (None,) * len(layers)
    with undisturbed():
        most = CHUNK if quantizer.scale_rule == "minmax" else -(-count(images) // PARTS)
        batches = passes(network, images, most)
        extremes = _extremes(network, fed, batches)
        for name in names:
            if name not in extremes:
                raise NetworkError(
                    f"no calibration image calls layer {name!r}, so that there is no grid for its "
                    f"input: give images that do, leave the layer in float ({name!r}: 32), or the "
                    "inputs of all (activation_bits=32)"
                )
        _check_finite(extremes)
        kept = {name: _without_outliers(parts) for name, parts in extremes.items()}
        if quantizer.scale_rule in ("minmax", "robust"):
            grids = {name: _spanning(kept[name], quantizer) for name in names}
        else:
            histograms = _histograms(network, fed, batches, kept)
            choose = _BY_HISTOGRAM[quantizer.scale_rule]
            grids = {name: choose(histograms[name], quantizer) for name in names}
        for name, grid in grids.items():
            largest = max(max(-low, high) for low, high in kept[name].values())
            check_scales(
                grid.scale, torch.tensor(largest), quantizer.bits, f"the inputs of layer {name!r}"
            )
        return tuple(grids.get(layer.name) for layer in layers)


def grids_by_name(
    layers: Sequence[Layer], grids: Sequence[QuantizationParameters | None]
) -> dict[str, QuantizationParameters]:
    """Return the grids of the layers that have one, by name of the layer.

    Args:
        layers: the layers.
        grids: one for each, as `calibrate_activations` gives them.
    """
    found = zip(layers, grids, strict=True)
    return {layer.name: grid for layer, grid in found if grid is not None}


def usual_images(images: Samples) -> Samples:
    """Leave out images with values more than 20 times as large as in the middle one.

    Args:
        images: (n, ...), or other samples; they are all returned where they are fewer than three.
    """
    if count(images) < 3:
        return images
    usual = torch.ones(count(images), dtype=torch.bool)
    for _, values in tensors_of(images, ""):
        if values.is_floating_point():  # whole numbers may be indices, which have no size
            sizes = in_full_precision(values).reshape(len(values), -1).abs().amax(1)
            middle = sizes.sort().values[(len(sizes) - 1) // 2]
            usual &= (sizes <= OUTLIER * middle) | (middle == 0)
    return images if bool(usual.all()) else take(images, usual)


_Extremes = dict[int, tuple[float, float]]
"""Least and largest input by the number of the batch."""


def _extremes(
    network: PrivateNetwork, layers: Sequence[Layer], batches: Sequence[Samples]
) -> dict[str, _Extremes]:
    found: dict[str, _Extremes] = defaultdict(dict)
    for number, batch in enumerate(batches):

        def see(name: str, values: Tensor, number: int = number) -> None:
            if values.numel() == 0:
                return
            low, high = (float(end) for end in in_full_precision(values).aminmax())
            least, most = found[name].get(number, (low, high))
            found[name][number] = min(least, low), max(most, high)

        watch_inputs(network, layers, batch, see)
    return dict(found)


def _check_finite(extremes: dict[str, _Extremes]) -> None:
    """Refuse layers whose inputs are no numbers, which no grid spans."""
    for name, parts in extremes.items():
        ends = torch.tensor(list(parts.values()), dtype=torch.float64)
        if not bool(ends.isfinite().all()):
            raise QuantizationError(
                f"the inputs of layer {name!r} are not finite on the calibration images, so that "
                "there is no grid for them: the float network gives inf or nan before that layer"
            )


def _without_outliers(parts: _Extremes) -> _Extremes:
    """Leave out the parts of far larger values than the middle one of at least three."""
    sizes = {number: max(-low, high) for number, (low, high) in parts.items()}
    middle = sorted(sizes.values())[(len(sizes) - 1) // 2]
    if len(sizes) < 3 or middle == 0:
        return parts
    return {number: parts[number] for number, size in sizes.items() if size <= OUTLIER * middle}


def _histograms(
    network: PrivateNetwork,
    layers: Sequence[Layer],
    batches: Sequence[Samples],
    kept: dict[str, _Extremes],
) -> dict[str, Histogram]:
    found: dict[str, Histogram] = defaultdict(Histogram)
    for number, batch in enumerate(batches):

        def see(name: str, values: Tensor, number: int = number) -> None:
            if number in kept[name]:
                found[name].add(values)

        watch_inputs(network, layers, batch, see)
    return found


def _spanning(parts: _Extremes, quantizer: ActivationQuantizer) -> QuantizationParameters:
    low = min(0.0, *(least for least, _ in parts.values()))
    high = max(0.0, *(most for _, most in parts.values()))
    return _grid_of(low, high, quantizer)


def _grid_of(low: float, high: float, quantizer: ActivationQuantizer) -> QuantizationParameters:
    least, most = (torch.tensor([end], dtype=torch.float64) for end in (low, high))
    scale, zero_point = spanning(least, most, quantizer.bits, symmetric=quantizer.symmetric)
    return shaped_parameters(scale, zero_point, quantizer.bits, (), symmetric=quantizer.symmetric)


def _percentile(histogram: Histogram, quantizer: ActivationQuantizer) -> QuantizationParameters:
    values, counts = histogram.values()
    if quantizer.symmetric:
        order = np.argsort(np.abs(values), kind="stable")
        high = _nearest_rank(np.abs(values)[order], counts[order], PERCENTILE)
        return _grid_of(-high, high, quantizer)
    low = _nearest_rank(values, counts, 100 - PERCENTILE)
    high = _nearest_rank(values, counts, PERCENTILE)
    return _grid_of(min(low, 0.0), max(high, 0.0), quantizer)


def _nearest_rank(
    values: NDArray[np.float64], counts: NDArray[np.float64], percent: float
) -> float:
    before = counts.cumsum()
    rank = 1 + round(percent / 100 * (before[-1] - 1))
    return float(values[np.searchsorted(before, rank)])


def _least_error(histogram: Histogram, quantizer: ActivationQuantizer) -> QuantizationParameters:
    values, counts = (torch.from_numpy(of)[None] for of in histogram.values())
    scale, zero_point = least_error(
        values, quantizer.bits, symmetric=quantizer.symmetric, counts=counts
    )
    return shaped_parameters(scale, zero_point, quantizer.bits, (), symmetric=quantizer.symmetric)


_BY_HISTOGRAM: dict[str, Callable[[Histogram, ActivationQuantizer], QuantizationParameters]] = {
    "mse": _least_error,
    "percentile": _percentile,
}
