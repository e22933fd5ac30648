"""Measuring further configurations of a bench, as those that it has were measured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gp_emq.errors import BenchError
from gp_emq.mqbench._bench import Bench, check_layers
from gp_emq.mqbench._measure import MeasurementSettings, Measurer, choose_arithmetic
from gp_emq.mqbench._origin import check_sources
from gp_emq.mqbench._protocol import Protocol
from gp_emq.networks import Workload

_MOST_CHANGED = 0.005
"""Share of images that another machine may label otherwise, or of another metric's size."""
_CHECKED = {
    "metric": "another metric",
    "state_sha256": "other parameters",
    "calibration_sha256": "other calibration samples",
    "images_sha256": "other test samples",
    "weights_sha256": "other weights",
}
"""What must be as it was; what functions of a workload do is seen where it is measured again."""


def settings_of(
    bench: Bench,
    *,
    weights: Path | None = None,
    data: Sequence[Path] = (),
    network: str | None = None,
    workload: str | Workload | None = None,
) -> MeasurementSettings:
    """Return what a bench was measured by.

    Args:
        bench: the bench.
        weights: the network's weights, for benches that do not bring their own.
        data: the network's images, likewise.
        network: `package.module:factory` of the bench's network, where it is one's own.
        workload: what the bench was measured of, where that is a workload: the workload, or
            `package.module:function` that returns it.

    Raises:
        BenchError: if it does not say how it was measured, or a source that no file may name is
            not given.
    """
    made = bench.provenance
    if not isinstance(made.get("protocol"), dict):
        raise BenchError(f"bench {bench.name} was imported: it cannot be measured further")
    check_sources(bench, network=network, data=data, workload=workload)
    protocol = Protocol.from_settings(made["protocol"])
    return MeasurementSettings(
        network=network or bench.network,
        weights=weights,
        data=tuple(data),
        protocol=protocol,
        bits=bench.bits,
        tests=made.get("tests"),
        seed=int(made.get("seed", 0)),
        arithmetic=choose_arithmetic(protocol, str(made.get("arithmetic", "auto"))),
        device=str(made.get("device", "cpu")),
        workload=workload,
    )


def check_measurer(bench: Bench, measurer: Measurer) -> None:
    """Refuse a measurer of something else than a bench was measured of.

    Raises:
        BenchError: if layers, parameters or samples are others.
    """
    check_layers(bench, measurer.network.layers, measurer.network.name)
    here = measurer.provenance()
    for name, other in _CHECKED.items():
        if bench.provenance.get(name) != here.get(name):
            raise BenchError(
                f"bench {bench.name} was measured with {other} than are here: "
                f"{bench.provenance.get(name)}, not {here.get(name)}"
            )


def check_alike(bench: Bench, measurer: Measurer) -> None:
    """Measure a configuration that a bench has, and compare.

    Raises:
        BenchError: if it comes to something else here.
    """
    again = measurer.form.fields(measurer.measure(bench.configurations[0])[None])
    if bench.correct is not None:
        before, now = (
            np.unpackbits(packed[0], count=bench.images)
            for packed in (bench.correct, again["correct"])
        )
        changed = float((now != before).mean())
        if changed > _MOST_CHANGED:
            raise BenchError(
                f"bench {bench.name} cannot be measured further here: its first configuration now "
                f"labels {100 * changed:.1f} % of the images otherwise"
            )
        return
    name = "accuracies" if bench.values is None else "values"
    old, new = getattr(bench, name)[0], again[name][0]
    if np.abs(new - old).mean() > _MOST_CHANGED * np.abs(old).mean():
        raise BenchError(
            f"bench {bench.name} cannot be measured further here: the {bench.metric} of its first "
            f"configuration is now {np.mean(new):.6g}, not {np.mean(old):.6g}"
        )
