"""How long layers take on some machine: a file that `gp_emq profile` writes, and its budget."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gp_emq.allocation._budgets import CostTable
from gp_emq.allocation._space import FLOAT_BITS
from gp_emq.errors import AllocationError
from gp_emq.files import read_document, shortened, write_document
from gp_emq.quantization import MAX_BITS, MIN_BITS

FORMAT = 1
LATENCY = "latency"
"""Name of the budget."""


@dataclass(frozen=True)
class LayerLatency:
    """How long a layer takes at a width.

    Attributes:
        layer: Its name.
        bits: Of its weight; 32 where weight and input are in float.
        milliseconds: Median, of one sample.
        spread: Milliseconds between the first and the third quarter of what was measured.
        operators: What the runtime ran, in its words.
        in_integers: Whether it computes with the integers of the weight.
        as_bits: The width that was timed: another one where both run as the same.
    """

    layer: str
    bits: int
    milliseconds: float
    spread: float
    operators: str
    in_integers: bool
    as_bits: int


@dataclass(frozen=True)
class WholeLatency:
    """How long the whole network takes, with all layers at one width.

    Attributes:
        bits: The width.
        milliseconds: Median, of one sample.
        spread: Milliseconds between the first and the third quarter of what was measured.
    """

    bits: int
    milliseconds: float
    spread: float


@dataclass(frozen=True)
class LatencyTable:
    """How long a network's layers take on a machine.

    Attributes:
        network: Its name.
        processor: Of the machine.
        runtime: What ran the layers, with its version.
        threads: How many it had.
        clock: What was counted: seconds of the processor, or of the wall clock.
        activation_bits: Of the inputs of quantized layers.
        layers: What they take, by width.
        whole: What the network takes.
    """

    network: str
    processor: str
    runtime: str
    threads: int
    clock: str
    activation_bits: int
    layers: tuple[LayerLatency, ...]
    whole: tuple[WholeLatency, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths that were timed, rising; 32 for float."""
        return tuple(sorted({found.bits for found in self.layers}))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, in their order."""
        return tuple(dict.fromkeys(found.layer for found in self.layers))

    def predicted(self, widths: Mapping[str, int]) -> float:
        """Predict milliseconds of a network: the sum of the shares of its layers.

        Args:
            widths: By name of the layer; absent ones are in float.
        """
        shares = self._shares()
        return math.fsum(shares[name, widths.get(name, FLOAT_BITS)] for name in self.names)

    def costs(self, limit: float) -> CostTable:
        """Give the shares of layers as costs with a limit.

        Args:
            limit: Most milliseconds that a network may take.
        """
        return CostTable(self._shares(), limit, LATENCY, "ms")

    def _shares(self) -> dict[tuple[str, int], float]:
        """Give what layers take, in proportion, of what the network takes with all at that width.

        Layers alone take more or less than together: what is beside them is not in their times,
        and layouts of tensors change at their ends.
        """
        whole = {found.bits: found.milliseconds for found in self.whole}
        sums = {
            bits: math.fsum(found.milliseconds for found in self.layers if found.bits == bits)
            for bits in whole
        }
        return {
            (found.layer, found.bits): found.milliseconds * whole[found.bits] / sums[found.bits]
            for found in self.layers
        }

    @property
    def origin(self) -> str:
        """What it was measured with, in a line."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.processor}, {self.runtime}, {threads}"


def save_latencies(table: LatencyTable, path: Path) -> None:
    """Write a table as JSON.

    Args:
        table: The table.
        path: The file; its folder must exist.

    Raises:
        RunError: The file cannot be written.
    """
    write_document(path, asdict(table), form=FORMAT)


def load_latencies(path: Path | str) -> LatencyTable:
    """Read and check a table.

    Args:
        path: The JSON file.

    Raises:
        AllocationError: The file is missing, damaged or of another format; the message says
            where.
    """
    path = Path(path)
    table = read_document(path, LatencyTable, AllocationError, "the latencies", form=FORMAT)
    if not table.layers:
        raise AllocationError(f"{path}: there are no layers")
    known: set[tuple[str, int]] = set()
    for found in table.layers:
        where = f"{path}: layer {shortened(found.layer)} at {found.bits} bits"
        _check(found, where)
        if (found.layer, found.bits) in known:
            raise AllocationError(f"{where} comes twice")
        known.add((found.layer, found.bits))
    for width in table.whole:
        _check(width, f"{path}: the network at {width.bits} bits")
    _check_complete(table, known, str(path))
    return table


def _check(found: LayerLatency | WholeLatency, where: str) -> None:
    if found.bits != FLOAT_BITS and not MIN_BITS <= found.bits <= MAX_BITS:
        raise AllocationError(f"{where}: bits are {MIN_BITS} to {MAX_BITS}, or {FLOAT_BITS}")
    if not (math.isfinite(found.milliseconds) and found.milliseconds > 0):
        raise AllocationError(
            f"{where}: milliseconds must be a positive number, not {found.milliseconds!r}"
        )


def _check_complete(table: LatencyTable, known: set[tuple[str, int]], where: str) -> None:
    """Refuse a table in which a layer lacks a width that others have."""
    for name in table.names:
        for bits in table.widths:
            if (name, bits) not in known:
                raise AllocationError(f"{where}: layer {shortened(name)} lacks {bits} bits")
    if sorted(found.bits for found in table.whole) != list(table.widths):
        widths = ", ".join(map(str, table.widths))
        raise AllocationError(f"{where}: the whole network must be there once at each of {widths}")
