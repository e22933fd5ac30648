"""Measuring one bit configuration after another under a protocol."""

import platform
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gp_emq
from gp_emq.determinism import one_thread
from gp_emq.errors import BenchError
from gp_emq.mqbench._form import Form, Found, form_of
from gp_emq.mqbench._protocol import Protocol
from gp_emq.mqbench._task import protocol_task
from gp_emq.networks import (
    OWN_ARRAYS,
    OWN_WORKLOAD,
    Division,
    Inputs,
    Layer,
    Network,
    Samples,
    Workload,
    file_sha256,
    load_inputs,
    sha256_of_behaviour,
    unwrapped,
)
from gp_emq.quantization import (
    LearnedRoundings,
    QuantizedNetwork,
    QuantizedWeight,
    integer_convolution_available,
)
from gp_emq.quantization.recipes import RoundedNetwork, find_recipe
from gp_emq.statistics import state_sha256

ARITHMETICS = ("integer", "float")


@dataclass(frozen=True)
class MeasurementSettings:
    """Everything that decides what is measured.

    Attributes:
        network: as `load_network` takes it; the name of a workload's.
        weights: file of its weights; `None` for those it has by itself.
        data: files and folders of images; none for the default place.
        protocol: how accuracies are measured.
        bits: the bit choices.
        tests: number of test images; `None` for all.
        seed: of the draws of images.
        arithmetic: `"integer"` for oneDNN's 8-bit convolution, or `"float"`.
        device: where configurations are measured; on a GPU the arithmetic is `"float"`.
        workload: what is measured instead of a network with images: a workload, or
            `package.module:function` that returns one; its arithmetic is `"float"`.
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
    workload: str | Workload | None = None


class Measurer:
    """A network under a protocol, ready to measure bit configurations.

    Args:
        settings: what to measure.
        divided: the samples that calibrate and measure; by default drawn as the settings say.

    Raises:
        GpEmqError: if network, weights or images are missing or do not fit.
    """

    def __init__(self, settings: MeasurementSettings, divided: Division | None = None) -> None:
        self.settings = settings
        protocol = settings.protocol
        with one_thread():
            inputs = inputs_of(settings)
            self.network: Network = inputs.network
            self.data_set = inputs.data_set
            if divided is None:
                divided = inputs.divided(protocol.calibration_images, settings.tests, settings.seed)
            self.calibration, self.test = divided.calibration, divided.test
            self.groups, self.labelled = divided.groups, divided.labelled
            self.batch = self.test.batch
            self.recipe = find_recipe(protocol.recipe)
            self._task = protocol_task(
                self.calibration, self.network.layers, protocol, settings.seed
            )
            self._correct = None if self.recipe.correct is None else self.recipe.correct(self._task)
        self._quantized: QuantizedNetwork | None = None

    @property
    def learned(self) -> LearnedRoundings:
        """Where learned roundings are kept."""
        return self._task.learned

    def keep_roundings(self, folder: Path | None) -> None:
        """Keep learned roundings in a folder from now on, and take from it what is there.

        What serves one configuration alone is not kept.
        """
        if self.recipe.round_layer is not None:
            self._task = replace(self._task, learned=LearnedRoundings(folder))

    @property
    def form(self) -> Form:
        """In what form the metric is kept."""
        return form_of(self.test)

    def measure(self, configuration: Sequence[int] | NDArray[np.int8]) -> Found:
        """Measure one bit configuration.

        Args:
            configuration: one width per entry.

        Returns:
            The metric in its `form`.

        Raises:
            BenchError: if the metric is not finite.
        """
        widths = [int(width) for width in configuration]
        with one_thread():
            quantized = self._quantized_for(widths)
            quantized.configure(widths)
            if self._correct is not None:
                self._correct(RoundedNetwork(quantized.model, quantized.norms, quantized.run))
            return self._kept(quantized.run, f"configuration {widths}")

    def uniform_accuracy(self, bits: int) -> float:
        """Return the metric with one width everywhere; top-1 is in [0, 1]."""
        entries = 1 + max(layer.entry for layer in self.network.layers)
        return float(self.form.means(self.measure([bits] * entries)[None])[0])

    def rounding_tasks(self) -> list[tuple[int, int]]:
        """Return the (index of a layer, bits) whose learned rounding serves every configuration.

        None but where the protocol learns the rounding of single layers.
        """
        if self.recipe.round_layer is None or not self.recipe.learns:
            return []
        layers = range(len(self.network.layers))
        return [(index, bits) for index in layers for bits in self.settings.bits]

    def rounded_weight(self, index: int, bits: int) -> QuantizedWeight:
        """Return a layer's rounded weight, from its file if it was learned before.

        Args:
            index: of the layer.
            bits: its width.
        """
        with one_thread():
            return self.recipe.rounded(self._task, self._owner(index), bits)

    def is_learned(self, index: int, bits: int) -> bool:
        """Say whether a layer's learned rounding is kept already."""
        return self._task.learned_weight(self._owner(index), bits) is not None

    def _owner(self, index: int) -> Layer:
        """Return the first layer with the very same weight: mostly the layer itself."""
        owner = self._task.owners[self.network.layers[index].name]
        return next(layer for layer in self.network.layers if layer.name == owner)

    def _quantized_for(self, configuration: Sequence[int]) -> QuantizedNetwork:
        layers = self.network.layers
        if self.recipe.round_network is not None:
            widths = {layer.name: configuration[layer.entry] for layer in layers}
            rounded = self.recipe.weights(self._task, widths)
            by_index = enumerate(widths.items())
            return self._make({(index, bits): rounded[name] for index, (name, bits) in by_index})
        if self._quantized is None:
            every = [(index, bits) for index in range(len(layers)) for bits in self.settings.bits]
            self._quantized = self._make({task: self.rounded_weight(*task) for task in every})
        return self._quantized

    def _make(self, weights: dict[tuple[int, int], QuantizedWeight]) -> QuantizedNetwork:
        return QuantizedNetwork(
            self.network.model,
            self.network.layers,
            weights,
            [self._task.activations.get(layer.name) for layer in self.network.layers],
            forward=None if self.test.is_default else self.test.forward,
            integer=self.settings.arithmetic == "integer",
            device=self.settings.device,
            keeps=self._is_own,
        )

    @property
    def _is_own(self) -> bool:
        """Whether the network, or what it measures, is somebody's own."""
        return self.data_set in (OWN_ARRAYS, OWN_WORKLOAD) or ":" in self.network.name

    def _kept(self, run: Callable[[Samples], Any], what: str) -> Found:
        """Measure a network, and bring the metric to its form."""
        found = self.test.measured_by(run, self.batch)
        if not bool(found.isfinite().all()):
            raise BenchError(f"{self.test.metric.name} is not finite with {what}")
        return self.form.kept(found.numpy())

    def float_accuracy(self) -> float:
        """Return the metric of the float network on the test samples; top-1 is in [0, 1]."""
        with one_thread():
            found = self._kept(self.test.private().run, "the float network")
        return float(self.form.means(found[None])[0])

    def provenance(self) -> dict[str, Any]:
        """Return what the measurements were made from, as plain values."""
        weights = self.network.weights
        kind = torch.device(self.settings.device).type
        return {
            **({} if kind == "cpu" else {"device": kind}),
            "arithmetic": self.settings.arithmetic,
            "calibration_sha256": self.calibration.samples_sha256(),
            "data_set": self.data_set,
            "images_sha256": self.test.samples_sha256(),
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
            **self._own_provenance(),
        }

    def _own_provenance(self) -> dict[str, Any]:
        """Return what else decides measurements of a network, or of samples, of one's own."""
        own_samples = self.data_set in (OWN_ARRAYS, OWN_WORKLOAD)
        if not self._is_own:
            return {}
        model = unwrapped(self.network.model)
        return {
            "network_code_sha256": sha256_of_behaviour(model),
            "state_sha256": state_sha256(model),
            **(
                {
                    "labelled": self.labelled,
                    "metric": self.test.metric.name,
                    "workload_sha256": self.test.identity(),
                }
                if own_samples
                else {}
            ),
        }


def inputs_of(settings: MeasurementSettings) -> Inputs:
    """Load the network of a build, and find its samples."""
    if settings.workload is not None and settings.arithmetic == "integer":
        raise BenchError("integer arithmetic is for images: a workload is measured in float")
    network = None if settings.workload is not None else settings.network
    return load_inputs(network, settings.weights, settings.data, workload=settings.workload)


def choose_arithmetic(protocol: Protocol, wanted: str = "auto") -> str:
    """Return the arithmetic to measure in.

    Args:
        protocol: what is measured; integers need symmetric weights without groups, and biases
            that stay as they are.
        wanted: `"integer"`, `"float"`, or `"auto"` for integers where protocol, torch and
            machine have them.

    Raises:
        BenchError: if it is unknown, or integers are wanted and not there.
    """
    if wanted not in ("auto", *ARITHMETICS):
        raise BenchError(f"arithmetic must be auto, integer or float, not {wanted!r}")
    plain = protocol.weights.symmetric and protocol.weights.group is None
    plain = plain and not find_recipe(protocol.recipe).moves_biases
    available = plain and integer_convolution_available()
    if wanted == "integer" and not available:
        raise BenchError(
            "integer arithmetic needs symmetric weights without groups, a method that moves no "
            "biases and a torch with an 8-bit convolution: use --arithmetic float"
        )
    if wanted == "auto":
        return "integer" if available else "float"
    return wanted


class _Latest(threading.local):
    """The measurer that this thread asked for last: no two may change one network's weights."""

    measurer: Measurer | None = None


_latest = _Latest()


def measurer_of(settings: MeasurementSettings) -> Measurer:
    """Return the thread's measurer for some settings, made when first asked for."""
    if _latest.measurer is None or _latest.measurer.settings != settings:
        _latest.measurer = Measurer(settings)
    return _latest.measurer
