"""Made-up statistics, as awkward as real ones and as small as possible, and random trees."""

import math
import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from deap import gp

from gp_emq.networks import Layer
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import STATISTICS, Kind, Layout, Statistics
from gp_emq.statistics._cache import Stored
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._header import Header
from gp_emq.statistics._sources import GRIDS
from primitives import BitTable, PrimitiveSet

BITS = (2, 3, 4)
WEIGHT_SHAPES = ((4, 1, 3, 3), (3, 4, 1, 1), (3, 5), (3, 2, 2, 2))
"""In forward order."""
ACTIVATION_SHAPES = ((2, 4, 3, 3), (2, 3, 2, 2), (2, 3), (2, 3, 1, 1))
QUANTIZER = WeightQuantizer(scale_rule="minmax")
ENTRIES = (0, 1, 2, 1)
"""The last layer is tied to the second, so forward order is not the order of entries."""

TENSORS = (
    "weight", "weight_gradient", "virtual_gradient", "synflow_gradient", "hessian_gradient",
    "hessian_diagonal", "fisher_diagonal",
)  # fmt: skip


def synthetic_layers(entries: Sequence[int] = ENTRIES) -> tuple[Layer, ...]:
    return tuple(
        Layer(
            name=f"layer{depth}",
            kind="Conv2d" if len(shape) == 4 else "Linear",
            weight_shape=shape,
            parameters=math.prod(shape) + shape[0],
            batch_norm_channels=0,
            macs=math.prod(shape) * (depth + 1),
            depth=depth,
            entry=entry,
        )
        for depth, (shape, entry) in enumerate(zip(WEIGHT_SHAPES, entries, strict=True))
    )


class SyntheticSource:
    """Random statistics of made-up layers; see `gp_emq.statistics._sources.Source`."""

    folder = None

    def __init__(self, header: Header, seed: int) -> None:
        self._header = header
        self._shapes = tuple(ACTIVATION_SHAPES[layer.depth] for layer in header.ordered_layers)
        rng = np.random.default_rng(seed)
        layout, activations = header.weight_layout, self._activations()
        values = {name: rng.normal(size=layout.size).astype(np.float32) for name in TENSORS}
        values["fisher_diagonal"] **= 2
        for name in ("activation", "activation_gradient"):
            values[name] = rng.normal(size=activations.size).astype(np.float32)
        entries = layout.entry_count
        values["hessian_trace"] = rng.normal(size=entries)
        values["hessian_top_eigenvalue"] = rng.normal(size=entries)
        for name, of_layer in (
            ("parameter_count", [layer.parameters for layer in header.ordered_layers]),
            ("macs", [layer.macs for layer in header.ordered_layers]),
        ):
            values[name] = np.bincount(layout.entries, of_layer).astype(np.float64)
        values["depth"] = np.arange(entries, dtype=np.float64)
        values["bits"] = np.tile(np.asarray(header.bits, dtype=np.float64), (entries, 1))
        weight = torch.from_numpy(values["weight"])
        grids = WeightGrids.choose(weight, layout, header.bits, QUANTIZER)
        squared = grids.perturbation(weight, 0, layout.size).double().square()
        share = torch.tensor(np.diff(layout.entry_bounds), dtype=torch.float64)
        values["quantization_mse"] = (layout.sum_entries(squared) / share).T.contiguous().numpy()
        values[GRIDS] = grids.values.numpy()
        shapes = {
            Kind.WEIGHTS: (layout.size,),
            Kind.ACTIVATIONS: (activations.size,),
            Kind.ACTIVATIONS_PER_BIT: (len(header.bits), activations.size),
            Kind.LAYER_VECTOR: (entries,),
            Kind.BIT_TABLE: (entries, len(header.bits)),
        }
        for name, record in STATISTICS.items():
            if record.compute is not None and name not in values:
                drawn = rng.normal(size=shapes[record.kind])
                drawn = np.abs(drawn) if record.non_negative else drawn
                per_entry = record.kind in (Kind.LAYER_VECTOR, Kind.BIT_TABLE)
                values[name] = drawn if per_entry else drawn.astype(np.float32)
        self._values = values

    def _activations(self) -> Layout:
        return self._header.activation_layout(self._shapes)

    def names(self) -> tuple[str, ...]:
        return tuple(name for name in self._values if name != GRIDS)

    def stored(self, name: str) -> Stored:
        of_activations = (Kind.ACTIVATIONS, Kind.ACTIVATIONS_PER_BIT)
        kind = None if name == GRIDS else STATISTICS[name].kind
        shapes = self._shapes if kind in of_activations else None
        return Stored(self._values[name], 0.0, shapes)

    def weight_layout(self) -> Layout:
        return self._header.weight_layout


@cache
def synthetic_statistics(
    seed: int = 0, *, entries: tuple[int, ...] = ENTRIES, dtype: torch.dtype = torch.float32
) -> Statistics:
    """Statistics of four made-up layers with random values; the same object for the same seed."""
    header = Header(synthetic_layers(entries), BITS, f"{seed:064x}")
    return Statistics(header, SyntheticSource(header, seed), dtype)


def random_tree(
    primitive_set: PrimitiveSet, rng: random.Random, depth: int, kind: type = BitTable
) -> list[gp.Primitive | gp.Terminal]:
    """Draw a typed tree of at most a depth, or of what its type needs at least."""
    least = primitive_set.minimum_depths
    candidates = [
        primitive
        for primitive in primitive_set.primitives.get(kind, [])
        if all(least[argument] < max(depth, least[kind]) for argument in primitive.args)
    ]
    leaves = primitive_set.terminals.get(kind, [])
    if leaves and (not candidates or rng.random() < 0.2):
        return [rng.choice(leaves)]
    chosen = rng.choice(candidates)
    tree = [chosen]
    for argument in chosen.args:
        tree += random_tree(primitive_set, rng, max(depth, least[kind]) - 1, argument)
    return tree
