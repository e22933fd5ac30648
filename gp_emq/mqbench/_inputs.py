"""What a bench's statistics are collected on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gp_emq.errors import BenchError
from gp_emq.mqbench._bench import Bench, check_layers
from gp_emq.mqbench._origin import check_sources, origin_of
from gp_emq.networks import (
    OWN_ARRAYS,
    OWN_WORKLOAD,
    RESIZED,
    Network,
    Workload,
    file_sha256,
    load_inputs,
)
from gp_emq.quantization import WeightQuantizer
from gp_emq.quantization.recipes import find_recipe


@dataclass(frozen=True)
class BenchInputs:
    """A bench's network with the images and the quantizer of its protocol.

    Attributes:
        network: the float network whose configurations were measured.
        calibration: the network with the calibration batch of the protocol.
        quantizer: how the protocol quantizes weights.
        renormed: whether the protocol makes up for what rounding does to a channel's scale and
            shift; see `StatisticsSettings`.
    """

    network: Network
    calibration: Workload
    quantizer: WeightQuantizer
    renormed: bool


def bench_inputs(
    bench: Bench,
    weights: Path | None = None,
    data: Sequence[Path] | Path | None = None,
    network: str | None = None,
    workload: str | Workload | None = None,
) -> BenchInputs:
    """Load the network of a bench and the calibration batch that it was built with.

    Args:
        bench: the bench.
        weights: file of the weights; by default where `load_network` finds them.
        data: files and folders of images; by default those that `GP_EMQ_DATA` leads to.
        network: as `load_network` takes it; by default the bench's, which must be registered:
            no file names code that runs.
        workload: instead of a network and data, what the bench was measured of; see
            `load_inputs`.

    Raises:
        BenchError: if the weights, or samples of one's own, are not those of the bench, or the
            bench was imported and does not say what it was measured with.
        GpEmqError: if network, weights or images are missing or do not fit.
    """
    made = origin_of(bench)
    if made is None:
        raise BenchError(
            f"bench {bench.name} was imported: it does not say how its weights were quantized"
        )
    source = bench.provenance.get("data_set")
    paths = [data] if isinstance(data, Path) else list(data or ())
    check_sources(bench, network=network, data=paths, workload=workload)
    name = bench.network if network is None and workload is None else network
    inputs = load_inputs(name, weights, paths, workload=workload)
    loaded = inputs.network
    expected = made.weights_sha256
    if loaded.weights is not None and expected not in (None, file_sha256(loaded.weights)):
        raise BenchError(
            f"{loaded.weights} holds other weights than bench {bench.name} was measured with "
            f"(sha256 {expected})"
        )
    check_layers(bench, loaded.layers, loaded.name)
    if inputs.data_set == "imagenet" and "format" not in bench.provenance["protocol"]:
        # Benches of before were measured on images that had been resized, and kept their pixels.
        inputs = replace(inputs, data_set=RESIZED)
    count = made.protocol.calibration_images
    recipe = find_recipe(made.protocol.recipe)
    renormed = recipe.learns or recipe.correct is not None
    if source not in (OWN_ARRAYS, OWN_WORKLOAD):
        return BenchInputs(
            loaded, inputs.calibration(count, made.seed), made.protocol.weights, renormed
        )
    batch = inputs.divided(count, None, made.seed).calibration
    if batch.samples_sha256() != bench.provenance.get("calibration_sha256"):
        given = inputs.data[0] if inputs.data else loaded.name
        raise BenchError(f"{given} holds other samples than bench {bench.name} was measured on")
    return BenchInputs(loaded, batch, made.protocol.weights, renormed)
