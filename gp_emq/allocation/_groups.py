"""Layers that the user wants to share one width, and the tables of such decisions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from gp_emq.allocation._labels import labelled
from gp_emq.allocation._patterns import matching
from gp_emq.errors import AllocationError
from gp_emq.networks import Layer
from gp_emq.proxies import SensitivityTable
from gp_emq.proxies._table import check_shape, table_values


def grouped_layers(layers: Sequence[Layer], groups: Sequence[Sequence[str]]) -> tuple[Layer, ...]:
    """Give layers that belong to a group one entry.

    Layers that are tied to a member, or share its weight, come along.

    Args:
        layers: In forward order.
        groups: Names and patterns of the layers of each group.

    Returns:
        The same layers; their entries are numbered by their first layer.

    Raises:
        AllocationError: A pattern matches no layer, a group has fewer than two layers, or two
            groups have one in common.
    """
    if isinstance(groups, str) or any(isinstance(group, str) for group in groups):
        raise AllocationError(
            f"groups must be lists of patterns, like [['q', 'k']], not {groups!r}"
        )
    leader = {layer.entry: layer.entry for layer in layers}
    owner: dict[str, Sequence[str]] = {}
    for group in groups:
        names = frozenset[str]().union(*(matching(pattern, layers) for pattern in group))
        members = [layer for layer in layers if layer.name in names]
        if len(members) < 2:
            found = ", ".join(repr(layer.name) for layer in members) or "none"
            raise AllocationError(
                f"the group {_shown(group)} needs at least two layers: it has {found}"
            )
        for layer in members:
            if layer.name in owner:
                raise AllocationError(
                    f"layer {layer.name!r} is in the groups {_shown(owner[layer.name])} and "
                    f"{_shown(group)}: give them as one"
                )
            owner[layer.name] = group
        joined = {leader[layer.entry] for layer in members}
        leader = {e: min(joined) if first in joined else first for e, first in leader.items()}
    numbers: dict[int, int] = {}
    for layer in layers:
        numbers.setdefault(leader[layer.entry], len(numbers))
    return tuple(replace(layer, entry=numbers[leader[layer.entry]]) for layer in layers)


def grouped_table(
    table: ArrayLike, layers: Sequence[Layer], grouped: Sequence[Layer], bits: Sequence[int]
) -> ArrayLike:
    """Sum the rows of entries that have become one; scores are additive.

    Args:
        table: Scores, (entries, bits), of the layers as they were.
        layers: In forward order.
        grouped: What `grouped_layers` made of them.
        bits: The widths of the columns.

    Returns:
        Scores, (fewer entries, bits); what a table knows of itself stays. The table itself where
        nothing was grouped.

    Raises:
        AllocationError: The table is not of these layers.
    """
    places = {old.entry: new.entry for old, new in zip(layers, grouped, strict=True)}
    if all(old == new for old, new in places.items()):
        return table
    values = table_values(table)
    check_shape(values, layers, bits)
    sums = np.zeros((1 + max(places.values()), values.shape[1]))
    for old in sorted(places):
        sums[places[old]] += values[old]
    known = labelled(table)
    if known is None:
        return sums
    return SensitivityTable(
        sums, bits=bits, layers=grouped, kept_in_float=known.kept_in_float, **known.provenance
    )


def _shown(group: Sequence[str]) -> str:
    return repr(",".join(map(str, group)))
