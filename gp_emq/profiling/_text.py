"""Latencies as a table for people."""

import math
from collections.abc import Sequence

from gp_emq.allocation import FLOAT_BITS, LatencyTable


def format_latencies(table: LatencyTable) -> str:
    """Write what a network takes at each width, and which widths run as others.

    Args:
        table: The latencies.
    """
    clock = "processor time" if table.clock == "processor" else "wall time"
    lines = [
        f"{table.network}: milliseconds of one sample ({clock}) on {table.origin}",
        "",
        f"{'bits':>5}  {'layers':>10}  {'network':>10}  {'spread':>8}  in integers",
    ]
    for whole in table.whole:
        rows = [found for found in table.layers if found.bits == whole.bits]
        layers = math.fsum(found.milliseconds for found in rows)
        integers = sum(found.in_integers for found in rows)
        lines.append(
            f"{_width(whole.bits):>5}  {layers:>10.4g}  {whole.milliseconds:>10.4g}  "
            f"{whole.spread:>8.2g}  {integers} of {len(rows)} layers"
        )
    if shared := _shared(table):
        lines += ["", "What onnxruntime runs, and this table counts, as another width:", *shared]
    return "\n".join(lines) + "\n"


def _shared(table: LatencyTable) -> list[str]:
    """Say which widths the runtime has nothing of its own for."""
    groups: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for bits in table.widths:
        rows = [found for found in table.layers if found.bits == bits]
        others = tuple((found.layer, found.as_bits) for found in rows if found.as_bits != bits)
        groups.setdefault(others, []).append(bits)
    return [
        f"{', '.join(map(str, widths))} bits: {_which(others, len(table.names))}"
        for others, widths in groups.items()
        if others
    ]


def _which(others: Sequence[tuple[str, int]], layers: int) -> str:
    """Say which of some layers run as at another width."""
    parts = []
    for bits in sorted({as_bits for _, as_bits in others}, reverse=True):
        names = [name for name, as_bits in others if as_bits == bits]
        which = f"{len(names)} of {layers} layers" if len(names) > 3 else ", ".join(names)
        parts.append(f"{which} as at {bits} bits")
    return "; ".join(parts)


def _width(bits: int) -> str:
    return "float" if bits == FLOAT_BITS else str(bits)
