"""What a bench's statistics are collected on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gp_emq.errors import BenchError
from gp_emq.files import refuse_code
from gp_emq.mqbench._bench import Bench, check_layers
from gp_emq.mqbench._origin import origin_of
from gp_emq.networks import (
    RESIZED,
    Network,
    data_set_of,
    file_sha256,
    load_calibration,
    load_network,
)
from gp_emq.quantization import WeightQuantizer


@dataclass(frozen=True)
class BenchInputs:
    """A bench's network with the images and the quantizer of its protocol.

    Attributes:
        network: the float network whose configurations were measured.
        images: the calibration batch of the protocol, float32 (n, C, H, W).
        labels: int64 (n,).
        quantizer: how the protocol quantizes weights.
    """

    network: Network
    images: Tensor
    labels: Tensor
    quantizer: WeightQuantizer


def bench_inputs(
    bench: Bench,
    weights: Path | None = None,
    data: Sequence[Path] | Path | None = None,
    network: str | None = None,
) -> BenchInputs:
    """Load the network of a bench and the calibration batch that it was built with.

    Args:
        bench: the bench.
        weights: file of the weights; by default where `load_network` finds them.
        data: files and folders of images; by default those that `GP_EMQ_DATA` leads to.
        network: as `load_network` takes it; by default the bench's, which must be registered:
            no file names code that runs.

    Raises:
        BenchError: if the weights are not those of the bench, or the bench was imported and
            does not say what it was measured with.
        GpEmqError: if network, weights or images are missing or do not fit.
    """
    made = origin_of(bench)
    if made is None:
        raise BenchError(
            f"bench {bench.name} was imported: it does not say how its weights were quantized"
        )
    if network is None:
        named = f"the bench {bench.name} names the network"
        refuse_code(bench.network, BenchError, named, "--network")
    loaded = load_network(network or bench.network, weights)
    expected = made.weights_sha256
    if loaded.weights is not None and expected not in (None, file_sha256(loaded.weights)):
        raise BenchError(
            f"{loaded.weights} holds other weights than bench {bench.name} was measured with "
            f"(sha256 {expected})"
        )
    check_layers(bench, loaded.layers, loaded.name)
    paths = [data] if isinstance(data, Path) else list(data or ())
    data_set = data_set_of(loaded.name, loaded.input_shape)
    if data_set == "imagenet" and "format" not in bench.provenance["protocol"]:
        # Benches of before were measured on images that had been resized, and kept their pixels.
        data_set = RESIZED
    calibration = load_calibration(
        data_set,
        paths,
        count=made.protocol.calibration_images,
        seed=made.seed,
    )
    return BenchInputs(loaded, calibration.images, calibration.labels, made.protocol.weights)
