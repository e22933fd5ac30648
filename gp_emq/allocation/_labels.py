"""Which layers and widths a table is of: what it says itself, or what the caller says."""

from collections.abc import Sequence

from gp_emq.errors import AllocationError
from gp_emq.networks import Layer
from gp_emq.proxies import SensitivityTable
from gp_emq.proxies._table import check_bits


def labelled(table: object) -> SensitivityTable | None:
    """Return a table that knows its layers and widths; None of anything else."""
    return table if isinstance(table, SensitivityTable) and table.is_labelled else None


def layers_and_bits(
    table: object, layers: Sequence[Layer] | None, bits: Sequence[int] | None
) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    """Find out which layers and widths a table is of.

    Args:
        table: The table.
        layers: What the caller says; None if nothing.
        bits: The same of the widths of its columns.

    Raises:
        AllocationError: Table and caller contradict each other, or neither says it.
    """
    known = labelled(table)
    if known is not None:
        check_labels(known, layers, bits)
        return tuple(known.layers if layers is None else layers), known.bits
    if layers is None or bits is None:
        what, example = ("bits", "bits=(2, 3, 4)") if bits is None else ("layers", "its layers")
        raise AllocationError(
            f"a plain array does not say which {what} it is of, as the tables of proxies do: "
            f"give {example} as well"
        )
    return tuple(layers), check_bits(bits)


def check_labels(
    table: SensitivityTable, layers: Sequence[Layer] | None, bits: Sequence[int] | None
) -> None:
    """Check that a table is of these layers and widths; None goes unchecked.

    Raises:
        AllocationError: It is of others.
    """
    if bits is not None and check_bits(bits) != table.bits:
        raise AllocationError(
            f"the columns of the table are the widths {_listed(table.bits)}, not "
            f"{_listed(bits)}; choices={{'*': ...}} allows fewer of them"
        )
    if layers is None:
        return
    if len(layers) != len(table.layers):
        raise AllocationError(
            f"the table is of {len(table.layers)} layers, from {table.layers[0].name!r} to "
            f"{table.layers[-1].name!r}, not of {len(layers)}"
        )
    for own, given in zip(table.layers, layers, strict=True):
        if _identity(own) != _identity(given):
            raise AllocationError(
                f"the table is of other layers: it has {_described(own)} where the layers given "
                f"have {_described(given)}"
            )


def _identity(layer: Layer) -> tuple[str, str, tuple[int, ...], int]:
    """What a layer is whatever the size of its input."""
    return layer.name, layer.kind, layer.weight_shape, layer.entry


def _described(layer: Layer) -> str:
    shape = "x".join(map(str, layer.weight_shape))
    return f"{layer.kind} {layer.name!r} ({shape}) in entry {layer.entry}"


def _listed(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths))
