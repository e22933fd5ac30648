"""Random statistics in the shapes of real networks, so that speed needs no weights and no data."""

import math
from collections.abc import Iterable
from pathlib import Path

import torch

from gp_emq.networks import Layer
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import STATISTICS, Kind, Layout, Statistics
from gp_emq.statistics._cache import StatisticsFolder, Stored
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._header import Header
from gp_emq.statistics._sources import GRIDS

Shape = tuple[int, ...]
BITS = (2, 3, 4)
IMAGES = 4
"""Images whose activations are kept; as many as give ResNet-18 about 10 M elements."""


def _basic(channels: int, blocks: int, before: int) -> list[tuple[Shape, int]]:
    layers: list[tuple[Shape, int]] = []
    side = 56 * 64 // channels
    for block in range(blocks):
        inputs = before if block == 0 else channels
        layers += [((channels, inputs, 3, 3), side), ((channels, channels, 3, 3), side)]
        if inputs != channels:
            layers.append(((channels, inputs, 1, 1), side))
    return layers


def _bottleneck(channels: int, blocks: int, before: int) -> list[tuple[Shape, int]]:
    layers: list[tuple[Shape, int]] = []
    side = 56 * 64 // channels
    for block in range(blocks):
        inputs = before if block == 0 else 4 * channels
        layers += [
            ((channels, inputs, 1, 1), side),
            ((channels, channels, 3, 3), side),
            ((4 * channels, channels, 1, 1), side),
        ]
        if block == 0:
            layers.append(((4 * channels, inputs, 1, 1), side))
    return layers


def _small(
    depth: int, widths: tuple[int, int, int], side: int, colours: int
) -> list[tuple[Shape, int]]:
    """Three stages of basic blocks without layers on their shortcuts, as for CIFAR-10."""
    layers: list[tuple[Shape, int]] = [((widths[0], colours, 3, 3), side)]
    for stage, channels in enumerate(widths):
        for block in range((depth - 2) // 6):
            inputs = channels // 2 if stage and block == 0 else channels
            here = side >> stage
            layers += [((channels, inputs, 3, 3), here), ((channels, channels, 3, 3), here)]
    return [*layers, ((10, widths[-1]), 1)]


NETWORKS: dict[str, list[tuple[Shape, int]]] = {
    "digits": _small(14, (8, 16, 32), 8, 1),
    "resnet20": _small(20, (16, 32, 64), 32, 3),
    "resnet18": [
        ((64, 3, 7, 7), 112),
        *_basic(64, 2, 64),
        *_basic(128, 2, 64),
        *_basic(256, 2, 128),
        *_basic(512, 2, 256),
        ((1000, 512), 1),
    ],
    "resnet50": [
        ((64, 3, 7, 7), 112),
        *_bottleneck(64, 3, 64),
        *_bottleneck(128, 4, 256),
        *_bottleneck(256, 6, 512),
        *_bottleneck(512, 3, 1024),
        ((1000, 2048), 1),
    ],
}
"""Weight shape and side of the output of every layer."""


class _RandomSource:
    """Draws every statistic from a seeded generator.

    Args:
        header: The layers.
        sides: Side of each layer's output.
        seed: Of the generator.
    """

    def __init__(self, header: Header, sides: list[int], seed: int) -> None:
        self.folder: Path | None = None
        self._header, self._sides, self._seed = header, sides, seed

    def names(self) -> tuple[str, ...]:
        return tuple(STATISTICS)

    def weight_layout(self) -> Layout:
        return self._header.weight_layout

    def stored(self, name: str) -> Stored:
        if name == GRIDS:
            weight = torch.from_numpy(self.stored("weight").values)
            quantizer = WeightQuantizer(symmetric=True, per_channel=False, scale_rule="minmax")
            grids = WeightGrids.choose(weight, self.weight_layout(), BITS, quantizer)
            return Stored(grids.values.numpy(), 0.0)
        generator = torch.Generator().manual_seed(self._seed + list(STATISTICS).index(name))
        kind, entries = STATISTICS[name].kind, self.weight_layout().entry_count
        if kind == Kind.WEIGHTS:
            values = torch.randn(self.weight_layout().size, generator=generator)
            if name == "fisher_diagonal":
                values.square_()
            return Stored(values.numpy(), 0.0)
        if kind in {Kind.ACTIVATIONS, Kind.ACTIVATIONS_PER_BIT}:
            shapes = tuple(
                (IMAGES, shape[0], side, side) if len(shape) > 2 else (IMAGES, shape[0])
                for shape, side in zip(self._shapes(), self._sides, strict=True)
            )
            lead = (len(BITS),) if kind == Kind.ACTIVATIONS_PER_BIT else ()
            size = (*lead, sum(math.prod(shape) for shape in shapes))
            return Stored(torch.randn(size, generator=generator).numpy(), 0.0, shapes)
        if name == "bits":
            return Stored(torch.tensor(BITS).double().expand(entries, -1).clone().numpy(), 0.0)
        shape = (entries, len(BITS)) if kind == Kind.BIT_TABLE else (entries,)
        return Stored(torch.rand(shape, generator=generator, dtype=torch.float64).numpy(), 0.0)

    def _shapes(self) -> tuple[Shape, ...]:
        return self.weight_layout().shapes


def random_statistics(network: str, *, seed: int = 0) -> Statistics:
    """Make statistics of random values in a network's shapes.

    Args:
        network: One of `NETWORKS`.
        seed: Of the values.
    """
    return Statistics(*_header_and_source(network, seed))


def _header_and_source(network: str, seed: int) -> tuple[Header, _RandomSource]:
    layers = tuple(
        Layer(f"layer{depth}", "Conv2d", shape, math.prod(shape), 0, 1, depth, depth)
        for depth, (shape, _) in enumerate(NETWORKS[network])
    )
    header = Header(layers, BITS, f"random {network} {seed}")
    return header, _RandomSource(header, [side for _, side in NETWORKS[network]], seed)


def store_statistics(network: str, names: Iterable[str], folder: Path) -> None:
    """Write random statistics down, so that worker processes can map them into memory.

    Args:
        network: One of `NETWORKS`.
        names: Which statistics.
        folder: Where to.
    """
    header, source = _header_and_source(network, 0)
    files = StatisticsFolder(folder)
    files.write_header(header)
    for name in {*names, "weight", GRIDS} - {"perturbation"}:
        files.write(name, source.stored(name))
