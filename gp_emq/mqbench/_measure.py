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
from torch import Tensor

import gp_emq
from gp_emq.determinism import one_thread
from gp_emq.errors import BenchError
from gp_emq.mqbench._protocol import Protocol
from gp_emq.networks import (
    ImageSet,
    Network,
    PrivateNetwork,
    batch_size,
    data_set_of,
    file_sha256,
    load_calibration,
    load_network,
    load_test,
    undisturbed,
)
from gp_emq.quantization import (
    LearnedRoundings,
    QuantizedNetwork,
    QuantizedWeight,
    RoundingSettings,
    calibrate_activations,
    integer_convolution_available,
    layer_weight,
    quantize_weights,
    reconstruct_blocks,
    reconstruct_layer,
)

ARITHMETICS = ("integer", "float")


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
        device: where configurations are measured; on a GPU the arithmetic is `"float"`.
    """

    network: str
    weights: Path | None
    data: tuple[Path, ...]
    protocol: Protocol
    bits: tuple[int, ...]
    tests: int | None
    seed: int
    arithmetic: str
    device: str = "cpu"


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
        self.learned = LearnedRoundings(None)

    def keep_roundings(self, folder: Path | None) -> None:
        """Keep learned roundings in a folder from now on, and take from it what is there."""
        self.learned = LearnedRoundings(folder)

    def measure(self, configuration: Sequence[int] | NDArray[np.int8]) -> NDArray[np.uint8]:
        """Measure one bit configuration.

        Args:
            configuration: one width per entry.

        Returns:
            Which test images are labelled rightly, packed, uint8 (ceil(images / 8),).
        """
        widths = [int(width) for width in configuration]
        with one_thread():
            quantized = self._quantized_for(widths)
            quantized.configure(widths)
            if self.settings.protocol.batch_norm:
                quantized.reestimate_batch_norm(self.calibration.images)
            right = quantized.correct(self.test.images, self.test.labels, self.batch)
        return np.packbits(right.numpy())

    def uniform_accuracy(self, bits: int) -> float:
        """Return the top-1 accuracy with one width everywhere, in [0, 1]."""
        entries = 1 + max(layer.entry for layer in self.network.layers)
        images = len(self.test.labels)
        return float(np.unpackbits(self.measure([bits] * entries), count=images).mean())

    def rounding_tasks(self) -> list[tuple[int, int]]:
        """Return the (index of a layer, bits) whose rounding serves every configuration.

        None but where the protocol learns the rounding of single layers.
        """
        if self.settings.protocol.rounding != "layer":
            return []
        layers = range(len(self.network.layers))
        return [(index, bits) for index in layers for bits in self.settings.bits]

    def learned_weight(self, index: int, bits: int) -> QuantizedWeight:
        """Return a layer's weight with learned rounding, from its file if there is one.

        Args:
            index: of the layer.
            bits: its width.
        """
        index = self._owner(index)
        layer, model = self.network.layers[index], self.network.model
        integers = self.kept_rounding(index, bits)
        with one_thread():
            if integers is not None:
                grid = self.settings.protocol.weights.parameters(layer_weight(model, layer), bits)
                return QuantizedWeight(integers, grid)
            weight = reconstruct_layer(
                model,
                layer,
                bits,
                quantizer=self.settings.protocol.weights,
                activation=self._activations[index],
                images=self.calibration.images,
                settings=self._rounding_settings(),
                sharing={
                    other.name: self._activations[place]
                    for place, other in enumerate(self.network.layers)
                    if other.shares == layer.name
                },
            )
        self.learned.put(_rounding_key(index, bits), {layer.name: weight.integers})
        return weight

    def kept_rounding(self, index: int, bits: int) -> Tensor | None:
        """Return a layer's integers, int16 shaped as its weight, or `None` if not learned yet."""
        index = self._owner(index)
        layer = self.network.layers[index]
        kept = self.learned.get(_rounding_key(index, bits), {layer.name: layer.weight_shape})
        return None if kept is None else kept[layer.name]

    def _owner(self, index: int) -> int:
        """Return the first layer with the very same weight: mostly the layer itself."""
        names = [layer.name for layer in self.network.layers]
        shares = self.network.layers[index].shares
        return names.index(shares) if shares else index

    def _quantized_for(self, configuration: Sequence[int]) -> QuantizedNetwork:
        protocol = self.settings.protocol
        if protocol.rounding == "block":
            layers = self.network.layers
            names = [layer.name for layer in layers]
            widths = [configuration[layer.entry] for layer in layers]
            rounded = reconstruct_blocks(
                self.network.model,
                layers,
                dict(zip(names, widths, strict=True)),
                quantizer=protocol.weights,
                images=self.calibration.images,
                settings=self._rounding_settings(),
            )
            by_index = enumerate(zip(names, widths, strict=True))
            return self._make({(index, bits): rounded[name] for index, (name, bits) in by_index})
        if self._quantized is None:
            tasks = self.rounding_tasks()
            self._quantized = self._make(
                {task: self.learned_weight(*task) for task in tasks}
                if tasks
                else quantize_weights(
                    self.network.model, self.network.layers, self.settings.bits, protocol.weights
                )
            )
        return self._quantized

    def _make(self, weights: dict[tuple[int, int], QuantizedWeight]) -> QuantizedNetwork:
        return QuantizedNetwork(
            self.network.model,
            self.network.layers,
            weights,
            self._activations,
            integer=self.settings.arithmetic == "integer",
            device=self.settings.device,
        )

    def _rounding_settings(self) -> RoundingSettings:
        protocol = self.settings.protocol
        return RoundingSettings(
            iterations=protocol.iterations,
            seed=self.settings.seed,
            relative=protocol.relative,
        )

    def float_accuracy(self) -> float:
        """Return the top-1 accuracy of the float network on the test images, in [0, 1]."""
        network = PrivateNetwork(self.network.model)
        with undisturbed(), torch.no_grad():
            right = [
                network.run(images).argmax(1)
                for images in torch.split(self.test.images, self.batch)
            ]
            return float((torch.cat(right) == self.test.labels).double().mean())

    def provenance(self) -> dict[str, Any]:
        """Return what the measurements were made from, as plain values."""
        weights = self.network.weights
        kind = torch.device(self.settings.device).type
        return {
            **({} if kind == "cpu" else {"device": kind}),
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

    def _check_classes(self) -> None:
        with undisturbed(), torch.no_grad():
            classes = PrivateNetwork(self.network.model).run(self.test.images[:1]).shape[-1]
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


def choose_arithmetic(protocol: Protocol, wanted: str = "auto") -> str:
    """Return the arithmetic to measure in.

    Args:
        protocol: what is measured; integers need symmetric weights.
        wanted: `"integer"`, `"float"`, or `"auto"` for integers where protocol, torch and
            machine have them.

    Raises:
        BenchError: if it is unknown, or integers are wanted and not there.
    """
    if wanted not in ("auto", *ARITHMETICS):
        raise BenchError(f"arithmetic must be auto, integer or float, not {wanted!r}")
    available = protocol.weights.symmetric and integer_convolution_available()
    if wanted == "integer" and not available:
        raise BenchError(
            "integer arithmetic needs symmetric weights and a torch with an 8-bit convolution: "
            "use --arithmetic float"
        )
    if wanted == "auto":
        return "integer" if available else "float"
    return wanted


def _rounding_key(index: int, bits: int) -> str:
    return f"layer{index:03d}-bits{bits}"


@lru_cache(maxsize=1)
def measurer_of(settings: MeasurementSettings) -> Measurer:
    """Return the process's measurer for some settings, made when first asked for."""
    return Measurer(settings)
