"""The work of building a bench, as jobs of a farm: learning roundings, and measuring."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.errors import BenchError
from gp_emq.mqbench._form import Found
from gp_emq.mqbench._measure import MeasurementSettings, Measurer, measurer_of


@dataclass(frozen=True)
class _BenchJob:
    """What a worker is told: images and networks are loaded by each, and never sent.

    Args:
        settings: What is measured and how.
        roundings: Folder of learned roundings; None where none are kept.
    """

    settings: MeasurementSettings
    roundings: Path | None

    def set_up(self) -> Measurer:
        """Load network and images."""
        measurer = measurer_of(self.settings)
        measurer.keep_roundings(self.roundings)
        return measurer


@dataclass(frozen=True)
class RoundingJob(_BenchJob):
    """Learns the rounding of layers at widths; items are (index of a layer, bits)."""

    @property
    def key(self) -> Hashable:
        """All that the set-up depends on."""
        return ("rounding", self.settings, self.roundings)

    def work(self, state: Measurer, items: Sequence[tuple[int, int]]) -> list[None]:
        """Learn some roundings; they are left in their files."""
        for item in items:
            state.rounded_weight(*item)
        return [None] * len(items)

    def failed(self, item: tuple[int, int], reason: str) -> None:
        """Give up: no bench can do without a rounding."""
        raise BenchError(
            f"the rounding of layer {item[0]} at {item[1]} bits was lost: {reason}; what is done "
            "is kept, and the same command goes on from there"
        )


@dataclass(frozen=True)
class MeasurementJob(_BenchJob):
    """Measures bit configurations; items are one width per entry."""

    @property
    def key(self) -> Hashable:
        """All that the set-up depends on."""
        return ("measurement", self.settings, self.roundings)

    def work(self, state: Measurer, items: Sequence[tuple[int, ...]]) -> list[Found]:
        """Give what is kept of each configuration."""
        return [state.measure(item) for item in items]

    def failed(self, item: tuple[int, ...], reason: str) -> Found:
        """Give up: a bench without some of its configurations would be another bench."""
        raise BenchError(
            f"configuration {list(item)} was lost: {reason}; what is done is kept, and the same "
            "command goes on from there"
        )
