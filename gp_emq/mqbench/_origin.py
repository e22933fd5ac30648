"""What a bench says that it was measured from, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from gp_emq.errors import BenchError
from gp_emq.files import check_document, refuse_code, shortened
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._protocol import present_settings
from gp_emq.networks import OWN_ARRAYS, OWN_WORKLOAD, Workload
from gp_emq.quantization import ActivationQuantizer, WeightQuantizer


@dataclass(frozen=True)
class MeasuredBy:
    """What of a protocol is asked for after a bench was measured.

    Attributes:
        weights: how weights were quantized.
        activations: how the inputs of layers were.
        calibration_images: images for scales, learned rounding and batch norm.
        iterations: optimization steps of a learned rounding.
        recipe: by which weights were rounded and corrected.
    """

    weights: WeightQuantizer
    activations: ActivationQuantizer
    calibration_images: int
    iterations: int = 0
    recipe: str = "rtn"


@dataclass(frozen=True)
class Origin:
    """What a bench was measured from.

    Attributes:
        protocol: how.
        seed: of the draws of images.
        arithmetic: in which it was measured.
        weights_sha256: of the file of the network's weights, `None` where there was none.
    """

    protocol: MeasuredBy
    seed: int
    arithmetic: str = "float"
    weights_sha256: str | None = None


def refuse_unnamed(bench: Bench) -> None:
    """Refuse a bench that names code to run, as no file may.

    Raises:
        BenchError: if its network is not a registered one.
    """
    if bench.provenance.get("data_set") == OWN_WORKLOAD:
        raise BenchError(
            f"bench {bench.name} was measured of the workload {shortened(bench.network)}, and no "
            "file may name code that runs: give it by --workload package.module:function"
        )
    refuse_code(bench.network, BenchError, f"the bench {bench.name} names the network", "--network")


def check_sources(
    bench: Bench,
    *,
    network: str | None = None,
    data: Sequence[Path] = (),
    workload: str | Workload | None = None,
) -> None:
    """Refuse to look again at what a bench was measured of where that is not said.

    Args:
        bench: the bench.
        network: what was given as its network, if anything.
        data: what was given as its data.
        workload: what was given as its workload.

    Raises:
        BenchError: if a network or workload that no file may name, or a file of arrays, is not
            given, or a workload is given for a bench of none.
    """
    source = bench.provenance.get("data_set")
    if workload is None and (network is None or source == OWN_WORKLOAD):
        refuse_unnamed(bench)
    if workload is not None and source != OWN_WORKLOAD:
        raise BenchError(
            f"bench {bench.name} was measured of the network {shortened(bench.network)}, not of a "
            "workload: leave --workload out"
        )
    if source == OWN_ARRAYS and not data:
        raise BenchError(
            f"bench {bench.name} was measured on arrays of one's own: give their .npz file by "
            "--data"
        )


def origin_of(bench: Bench) -> Origin | None:
    """Return what a bench was measured from, `None` if it does not say.

    Raises:
        BenchError: if what it says is damaged.
    """
    provenance = bench.provenance
    if not isinstance(provenance.get("protocol"), dict):
        return None
    known = {field.name for field in fields(Origin)}
    said = {name: value for name, value in provenance.items() if name in known}
    asked = {field.name for field in fields(MeasuredBy)}
    settings = present_settings(provenance["protocol"])
    said["protocol"] = {name: value for name, value in settings.items() if name in asked}
    found = check_document(said, Origin, BenchError, f"the provenance of bench {bench.name}")
    if found.seed < 0 or found.protocol.calibration_images < 1:
        raise BenchError(
            f"the provenance of bench {bench.name} is damaged: seed {found.seed}, "
            f"{found.protocol.calibration_images} calibration images"
        )
    return found
