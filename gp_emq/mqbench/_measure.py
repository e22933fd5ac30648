"""Measuring one bit configuration after another under a protocol."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gp_emq
from gp_emq.determinism import one_thread
from gp_emq.errors import BenchError
from gp_emq.mqbench._protocol import Protocol
from gp_emq.networks import (
    ImageSet,
    Network,
    data_set_of,
    file_sha256,
    load_calibration,
    load_network,
    load_test,
)
from gp_emq.quantization import (
    QuantizedNetwork,
    QuantizedWeight,
    calibrate_activations,
    integer_convolution_available,
    quantize_weights,
)

ARITHMETICS = ("integer", "float")
_ELEMENTS_PER_PASS = 153_600


@dataclass(frozen=True)
class MeasurementSettings:
    """Everything that decides what is measured.

    Attributes:
        network: as `load_network` takes it.
        weights: file of its weights; `None` for those it has by itself.
        data: files and folders of images; none for the default place.
        protocol: how accuracies are measured.
        bits: the bit choices.
        tests: number of test images; `None` for all.
        seed: of the draws of images.
        arithmetic: `"integer"` for oneDNN's 8-bit convolution, or `"float"`.
        learned: folder that keeps learned roundings between interruptions.
    """

    network: str
    weights: Path | None
    data: tuple[Path, ...]
    protocol: Protocol
    bits: tuple[int, ...]
    tests: int | None
    seed: int
    arithmetic: str
    learned: Path | None = None


class Measurer:
    """A network under a protocol, ready to measure bit configurations.

    Args:
        settings: what to measure.

    Raises:
        GpEmqError: if network, weights or images are missing or do not fit.
    """

    def __init__(self, settings: MeasurementSettings) -> None:
        self.settings = settings
        protocol = settings.protocol
        with one_thread():
            self.network: Network = load_network(settings.network, settings.weights)
            self.calibration, self.test = load_images_of(settings, self.network)
            self._check_classes()
            self.batch = batch_size(self.network.input_shape)
            self._activations = calibrate_activations(
                self.network.model,
                self.network.layers,
                self.calibration.images,
                protocol.activations,
            )
        self._quantized: QuantizedNetwork | None = None

    def measure(self, configuration: Sequence[int] | NDArray[np.int8]) -> NDArray[np.uint8]:
        """Measure one bit configuration.

        Args:
            configuration: one width per entry.

        Returns:
            Which test images are labelled rightly, packed, uint8 (ceil(images / 8),).
        """
        with one_thread():
            quantized = self.quantized()
            quantized.configure([int(width) for width in configuration])
            if self.settings.protocol.batch_norm:
                quantized.reestimate_batch_norm(self.calibration.images)
            right = quantized.correct(self.test.images, self.test.labels, self.batch)
        return np.packbits(right.numpy())

    def quantized(self) -> QuantizedNetwork:
        """Return the network with its quantized weights, made when first asked for."""
        if self._quantized is None:
            with one_thread():
                self._quantized = QuantizedNetwork(
                    self.network.model,
                    self.network.layers,
                    self._weights(),
                    self._activations,
                    integer=self.settings.arithmetic == "integer",
                )
        return self._quantized

    def float_accuracy(self) -> float:
        """Return the top-1 accuracy of the float network on the test images, in [0, 1]."""
        with one_thread(), torch.no_grad():
            right = [
                self.network.model(images).argmax(1)
                for images in torch.split(self.test.images, self.batch)
            ]
            return float((torch.cat(right) == self.test.labels).double().mean())

    def provenance(self) -> dict[str, Any]:
        """Return what the measurements were made from, as plain values."""
        weights = self.network.weights
        return {
            "arithmetic": self.settings.arithmetic,
            "calibration_sha256": self.calibration.sha256(),
            "data_set": data_set_of(self.network.name, self.network.input_shape),
            "images_sha256": self.test.sha256(),
            "protocol": self.settings.protocol.settings(),
            "seed": self.settings.seed,
            "tests": self.settings.tests,
            "versions": {
                "gp_emq": gp_emq.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
            },
            "weights_sha256": None if weights is None else file_sha256(weights),
        }

    def _weights(self) -> dict[tuple[int, int], QuantizedWeight]:
        protocol = self.settings.protocol
        return quantize_weights(
            self.network.model, self.network.layers, self.settings.bits, protocol.weights
        )

    def _check_classes(self) -> None:
        with torch.no_grad():
            classes = self.network.model(self.test.images[:1]).shape[-1]
        if int(self.test.labels.max()) >= classes:
            raise BenchError(
                f"{self.network.name} tells {classes} classes apart, but the data has the label "
                f"{int(self.test.labels.max())}"
            )


def load_images_of(settings: MeasurementSettings, network: Network) -> tuple[ImageSet, ImageSet]:
    """Load calibration batch and test images of a build."""
    data_set = data_set_of(network.name, network.input_shape)
    calibration = settings.protocol.calibration_images
    return (
        load_calibration(data_set, settings.data, count=calibration, seed=settings.seed),
        load_test(
            data_set,
            settings.data,
            calibration=calibration,
            count=settings.tests,
            seed=settings.seed,
        ),
    )


def choose_arithmetic(wanted: str = "auto") -> str:
    """Return the arithmetic to measure in.

    Args:
        wanted: `"integer"`, `"float"`, or `"auto"` for integers where this torch and machine
            have them.

    Raises:
        BenchError: if it is unknown, or integers are wanted and not there.
    """
    if wanted not in ("auto", *ARITHMETICS):
        raise BenchError(f"arithmetic must be auto, integer or float, not {wanted!r}")
    available = integer_convolution_available()
    if wanted == "integer" and not available:
        raise BenchError("this torch has no 8-bit convolution here: use --arithmetic float")
    if wanted == "auto":
        return "integer" if available else "float"
    return wanted


def batch_size(input_shape: Sequence[int]) -> int:
    """Return how many images go through a network at once: few enough to stay in the cache."""
    return max(4, min(256, _ELEMENTS_PER_PASS // int(np.prod(input_shape))))


@lru_cache(maxsize=1)
def measurer_of(settings: MeasurementSettings) -> Measurer:
    """Return the process's measurer for some settings, made when first asked for."""
    return Measurer(settings)
