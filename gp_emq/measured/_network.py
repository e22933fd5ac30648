"""A network that takes on one plan after another, and says what each loses, sample by sample."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gp_emq
from gp_emq.allocation import FLOAT_BITS, Configuration, Space
from gp_emq.errors import AllocationError
from gp_emq.files import code_sha256
from gp_emq.measured._kept import KeptAnswers
from gp_emq.measured._names import DIVERGENCE, LOSS, LOSSES
from gp_emq.measured._samples import Answers, answers
from gp_emq.networks import (
    Layer,
    Samples,
    Workload,
    batch_size,
    entry_layers,
    on_cpu,
    split,
    tensors_of,
    undisturbed,
    values_per_sample,
)
from gp_emq.ptq import QuantizationSettings, make_task, roundings_identity
from gp_emq.quantization import Corrections, QuantizedNetwork
from gp_emq.quantization.recipes import (
    Progress,
    RoundedNetwork,
    find_recipe,
    learned_rounding,
    usual_method,
)
from gp_emq.statistics import Rounding, network_sha256, sha256_of

CORRECTED = 64
"""Plans whose corrections are held in memory, those that were taken last; a race has fewer."""


@dataclass(frozen=True)
class MeasuringSettings:
    """How plans are measured.

    Attributes:
        method: The recipe that quantizes, as for `gp_emq.quantize`.
        loss: `"divergence"` from the float network, or `"loss"` on the labels.
        quantization: How the recipe quantizes.

    Raises:
        AllocationError: The loss is unknown.
    """

    method: str = "rtn"
    loss: str = DIVERGENCE
    quantization: QuantizationSettings = field(default_factory=QuantizationSettings)

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise AllocationError(f"loss must be {' or '.join(LOSSES)}, not {self.loss!r}")


class PlanNetwork:
    """Measures plans of a network on images that none of them was made by.

    Weights are rounded once for each layer and width, so that a further plan costs no more than
    the float network's pass. What is measured is kept, and is measured once.

    Args:
        calibration: The network with the samples that grids, batch norms and roundings are made
            by.
        held_back: The same network with the samples to measure on.
        space: What plans may choose.
        settings: How plans are measured.
        cache: Folder that keeps what was measured, and learned roundings; None keeps nothing.
        progress: Told what is being rounded.

    Attributes:
        count: Samples to measure on.
        metric: Of the workload.
        labelled: Whether the samples have targets of their own.
        batch: Samples per pass; what is measured is whole passes.
        passes: Samples that went through the network so far, those that were kept not counted.

    Raises:
        AllocationError: The recipe learns every plan anew, or there are no labels where the loss
            needs them.
        GpEmqError: The network cannot be copied or run.
    """

    def __init__(
        self,
        calibration: Workload,
        held_back: Workload,
        space: Space,
        settings: MeasuringSettings,
        *,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        recipe = find_recipe(settings.method)
        if recipe.round_layer is None:
            raise AllocationError(
                f"{recipe.name} learns every plan anew, so that none can be measured in passing: "
                "measure with another method, such as rtn or adaround"
            )
        self.settings = settings
        self.count = len(held_back)
        self.metric = held_back.metric
        self.labelled = held_back.targets is not None
        self.batch = _batch(held_back.samples, self.count)
        self.passes = 0
        layers, self._entries = _planned(space)
        task = make_task(
            recipe, calibration, layers, settings.quantization, cache=cache, progress=progress
        )
        steps = task.rounding.iterations if recipe.learns else 1
        owners = {layer.name: layer for layer in task.distinct_layers}
        wanted = [
            (index, width)
            for index, layer in enumerate(layers)
            for width in space.widths[self._entries[layer.entry]]
        ]
        done = 0

        def report(name: str, count: int = 1) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(name, done, steps * len(wanted))

        weights = {
            (index, width): recipe.rounded(
                task, owners[task.owners[layers[index].name]], width, report
            )
            for index, width in wanted
        }
        self._task = task
        self._rounded = {
            (layers[index].name, width): weight for (index, width), weight in weights.items()
        }
        grids = [task.activations.get(layer.name) for layer in layers]
        self._quantized = QuantizedNetwork(
            task.network.model, layers, weights, grids, forward=held_back.forward
        )
        with undisturbed():
            self._correct = None if recipe.correct is None else recipe.correct(task)
        self._corrected: dict[Configuration, Corrections] = {}
        self._now: Configuration | None = None
        self._workload = held_back
        self._parts = split(held_back.samples, self.batch)
        _check_judges(held_back, settings.loss)
        self._float = self._float_outputs()
        self._targets = self._known_targets()
        self._known: dict[tuple[Configuration, int], Answers] = {}
        self._kept = KeptAnswers(
            None if cache is None or not held_back.is_default else cache / "measured",
            self._identity(calibration, layers),
        )

    @property
    def rounding(self) -> Rounding | None:
        """How weights are rounded, for statistics; None for to the nearest."""
        recipe, task = find_recipe(self.settings.method), self._task
        if not recipe.learns_layers:
            return None
        model, settings = task.network.model, self.settings.quantization
        identity = roundings_identity(recipe, model, task.images, settings)
        return learned_rounding(recipe, lambda: task, identity, self._rounded)

    @property
    def finer_method(self) -> str | None:
        """The recipe that learns how to round, corrected as usual; None where it learns now."""
        if find_recipe(self.settings.method).learns:
            return None
        return usual_method(self._task.network.model, learns=True)

    @property
    def renormed(self) -> bool:
        """Whether batch norms make up for what rounding does; see `StatisticsSettings`."""
        return find_recipe(self.settings.method).renews_norms

    def answers(self, configuration: Configuration, stop: int) -> Answers:
        """Measure a plan on the first samples.

        Args:
            configuration: One width per entry, `FLOAT_BITS` where it stays in float.
            stop: How many samples; rounded up to whole passes.
        """
        parts = [self._part(configuration, place) for place in range(self._places(stop))]
        return Answers(
            np.concatenate([part.losses for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def whole(self, samples: int) -> int:
        """Round a number of samples up to whole passes, no more than there are."""
        return min(self.count, self._places(samples) * self.batch)

    def floating(self) -> Answers:
        """Judge the float network on all samples."""
        parts = [
            answers(self._workload, before, outputs, targets, self.settings.loss)
            for (before, outputs), targets in zip(self._float, self._targets, strict=True)
        ]
        return Answers(
            np.concatenate([part.losses for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def _places(self, samples: int) -> int:
        return -(-samples // self.batch)

    def _part(self, configuration: Configuration, place: int) -> Answers:
        """Measure one pass, unless that was done before."""
        key = configuration, place
        if key not in self._known:
            samples = len(self._float[place][0])
            found = self._kept.get(configuration, place, samples)
            if found is None:
                found = self._measured(configuration, place)
                self._kept.put(configuration, place, found)
                self.passes += samples
            self._known[key] = found
        return self._known[key]

    def _measured(self, configuration: Configuration, place: int) -> Answers:
        with undisturbed(), torch.no_grad():
            self._take(configuration)
            outputs = on_cpu(self._quantized.run(self._parts[place]))
            return answers(
                self._workload,
                self._float[place][0],
                outputs,
                self._targets[place],
                self.settings.loss,
            )

    def _take(self, configuration: Configuration) -> None:
        if configuration == self._now:
            return
        widths = [configuration[entry] for entry in self._entries]
        self._now = None
        self._quantized.configure(widths)
        if self._correct is not None:
            self._take_corrected(configuration, self._correct)
        self._now = configuration

    def _take_corrected(
        self, configuration: Configuration, correct: Callable[[RoundedNetwork], None]
    ) -> None:
        """Correct the rounded network, or take what was corrected in this plan before.

        A race comes back to the plans that are left whenever it goes on to more samples.
        """
        kept, quantized = self._corrected.pop(configuration, None), self._quantized
        if kept is None:
            correct(RoundedNetwork(quantized.model, quantized.norms, quantized.run))
            kept = quantized.corrections()
            if len(self._corrected) == CORRECTED:
                del self._corrected[next(iter(self._corrected))]
        else:
            quantized.take_corrections(kept)
        self._corrected[configuration] = kept

    def _float_outputs(self) -> list[tuple[Tensor, Any]]:
        """Run the float network once: what others are compared with, and outputs as they are."""
        network = self._workload.private()
        found = []
        with undisturbed(), torch.no_grad():
            for part in self._parts:
                outputs = on_cpu(network.run(part))
                found.append((self._workload.reference(outputs, _count(part)).float(), outputs))
        _check_answers([reference for reference, _ in found])
        return found

    def _known_targets(self) -> tuple[Samples, ...]:
        """Give labels; where there are none, what the float network says."""
        targets = self._workload.targets
        if targets is not None:
            return split(targets, self.batch)
        if self.settings.loss == LOSS:
            raise AllocationError(
                "there are no labels to measure a loss on: measure the divergence from the float "
                "network"
            )
        if not self._workload.gives_logits:
            return tuple(reference for reference, _ in self._float)
        return tuple(logits.argmax(dim=1) for logits, _ in self._float)

    def _identity(self, calibration: Workload, layers: Sequence[Layer]) -> str:
        """Hash everything that decides what is measured, the code too."""
        held_back = self._workload
        targets = [] if held_back.targets is None else tensors_of(held_back.targets, "targets")
        recipe = find_recipe(self.settings.method)
        document = {
            "code": code_sha256(*recipe.modules, __name__),
            "version": gp_emq.__version__,
            "torch": torch.__version__,
            "method": recipe.name,
            "loss": self.settings.loss,
            "quantization": self.settings.quantization.document(),
            "layers": [layer.name for layer in layers],
            "state": network_sha256(calibration.private().model),
            "calibration": sha256_of(tensors_of(calibration.samples, "images")),
            "images": sha256_of([*tensors_of(held_back.samples, "images"), *targets]),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _planned(space: Space) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    """Return the layers that plans quantize, under entries of their own, and those entries."""
    chosen = tuple(entry for entry, widths in enumerate(space.widths) if widths != (FLOAT_BITS,))
    places = {entry: place for place, entry in enumerate(chosen)}
    layers = tuple(
        replace(layer, entry=places[layer.entry]) for layer in space.layers if layer.entry in places
    )
    assert len(entry_layers(layers)) == len(chosen)  # noqa: S101 - every entry has layers
    return layers, chosen


def _batch(samples: Samples, count: int) -> int:
    """Choose samples per pass: few enough for the cache, and 16 passes or more."""
    return max(1, min(batch_size((values_per_sample(samples),)), count // 16))


def _count(samples: Samples) -> int:
    return len(samples) if isinstance(samples, Tensor) else len(tensors_of(samples, "")[0][1])


def _check_judges(workload: Workload, loss: str) -> None:
    """Refuse a metric, and a loss that is measured by, that compare samples of a batch.

    Raises:
        StatisticsError: They do.
    """
    run = workload.private().run
    workload.check_metric(run)
    if loss == LOSS and workload.targets is not None:
        workload.check_loss(run, workload.targets)


def _check_answers(references: Sequence[Tensor]) -> None:
    """Refuse a network that answers every sample alike, whatever it is fed.

    Args:
        references: What outputs of others are compared with, (n, ...) of each pass.

    Raises:
        AllocationError: It does.
    """
    first, samples = references[0][:1], sum(map(len, references))
    if samples > 1 and all(bool((one == first).all()) for one in references):
        raise AllocationError(
            f"the network gives the same outputs for each of {samples} samples, so that no plan is "
            "better than another: look whether what it is fed reaches its outputs"
        )
