"""What ``python -m gp_emq.qat`` is asked for."""

from dataclasses import dataclass
from pathlib import Path

from gp_emq.qat._settings import QatSettings

NO_NETWORK = "no network: give --network, or a plan that names one"


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What the command line asks for: its options, by name, and those of training as one."""

    plan: Path | None
    bits: int | None
    network: str | None
    workload: str | None
    weights: Path | None
    data: tuple[Path, ...]
    test_data: Path | None
    test_workload: str | None
    images: int
    training: QatSettings
    activation_bits: int | None
    out: Path | None
    device: str
    quiet: bool
