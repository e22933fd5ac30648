"""What files say of layers, checked beyond the types of values."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gp_emq.errors import AllocationError
from gp_emq.networks import LEAST_GROUP, Layer


def check_counts(layer: Layer, where: str) -> None:
    """Refuse a layer that counts less than nothing.

    Raises:
        AllocationError: It does.
    """
    counts = [value for value in asdict(layer).values() if isinstance(value, int)]
    if min([*counts, *layer.weight_shape]) < 0:
        raise AllocationError(f"{where} has a count below 0")


def check_entries(layers: Sequence[Layer], where: str) -> None:
    """Refuse layers whose entries leave one out, or that have one name.

    Raises:
        AllocationError: They do, or there are none.
    """
    entries = {layer.entry for layer in layers}
    if not layers or sorted(entries) != list(range(len(entries))):
        raise AllocationError(f"{where}: the layers must cover the entries 0, 1, 2, ...")
    if len({layer.name for layer in layers}) != len(layers):
        raise AllocationError(f"{where}: the layers must have names of their own")


def check_scale_group(group: int | None, where: str) -> None:
    """Refuse a group of weights that is too short to share a scale.

    Raises:
        AllocationError: It is.
    """
    if group is not None and group < LEAST_GROUP:
        raise AllocationError(f"{where}: scale_group is {group}, less than {LEAST_GROUP}")


def without_groups(values: dict[str, Any]) -> dict[str, Any]:
    """Leave groups of weights unsaid in a document where there are none, as before there were."""
    said = values["scale_group"] is not None
    return {key: value for key, value in values.items() if said or key != "scale_group"}
