"""Collecting the statistics of a network on a calibration batch."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gp_emq.determinism import one_thread
from gp_emq.errors import GpEmqError, StatisticsError
from gp_emq.networks import (
    Images,
    Labels,
    Layer,
    PrivateNetwork,
    Workload,
    check_classes,
    check_finite,
    check_spread,
    layers_of,
    take,
    undisturbed,
    unwrapped,
    workload_of,
)
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics._activations import Activations
from gp_emq.statistics._batch import Noise, check_labels
from gp_emq.statistics._cache import DamagedError, StatisticsFolder, Stored
from gp_emq.statistics._catalogue import (
    INGREDIENTS,
    STATISTICS,
    computation_of,
    is_own,
    kind_of,
)
from gp_emq.statistics._context import Context, Inputs
from gp_emq.statistics._header import Header, check_bits, fingerprint, network_sha256
from gp_emq.statistics._layout import Layout, Shape
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._record import Kind
from gp_emq.statistics._rounding import Rounding
from gp_emq.statistics._settings import StatisticsSettings
from gp_emq.statistics._soundness import divergences
from gp_emq.statistics._statistics import Origin, Statistics

_REPEATED = 1e-4
"""Share of the largest output up to which two passes of the same image may differ."""
_LOOKED_AT = 16
"""Samples whose logits are looked at; those of one may lie near each other by chance."""
DEFAULT_QUANTIZER = WeightQuantizer(per_channel=True)
"""One scale of least squared error per output channel."""


def collect_statistics(
    model: nn.Module | Workload,
    images: Images | None = None,
    labels: Labels | None = None,
    *,
    bits: Sequence[int],
    quantizer: WeightQuantizer = DEFAULT_QUANTIZER,
    layers: Sequence[Layer] | None = None,
    ties: Sequence[Sequence[str]] = (),
    settings: StatisticsSettings | None = None,
    rounding: Rounding | None = None,
    cache: Path | None = None,
) -> Statistics:
    """Prepare the statistics of a network; each is computed when it is first asked for.

    They are those of the network as it is now, in eval mode: a copy of it is kept and run, and
    the network itself is left exactly as it is, whatever becomes of it later.

    Args:
        model: Maps (n, C, H, W) to logits (n, classes); in any mode and floating type, wrapped
            or not; or a `Workload`, which brings its samples along. Where it lets images of a
            batch see each other, every statistic is of the network as it answers single images.
        images: The calibration batch (n, C, H, W) as tensor or array, a list of images, or a
            DataLoader of images or (images, labels).
        labels: Whole numbers (n,); None takes those that come with the images, or the network's
            own predictions.
        bits: The widths, rising.
        quantizer: Quantizer of the weights; by default one scale per output channel, of least
            squared error.
        layers: The layers, as `find_layers` gives them; None looks for them.
        ties: Names of layers that share an entry, where `layers` is None.
        settings: How to collect; None for the defaults.
        rounding: How the recipe rounds weights that the network will be quantized by, for what is
            measured as the recipe leaves it; None for to the nearest.
        cache: Folder below which computed statistics are kept on disk; None keeps them in
            memory alone.

    Returns:
        The statistics.

    Raises:
        DataError: Images or labels of a wrong kind, shape or value.
        NetworkError: The network has no layers, is not finite, fails, or cannot be copied.
        StatisticsError: The network has no logits, or the widths do not rise. A statistic that
            is asked for raises it where the network's derivatives are not what autograd says.

    Examples:
        >>> import gp_emq
        >>> from torch import manual_seed, nn, randn
        >>> _ = manual_seed(0)
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
        >>> statistics = gp_emq.collect_statistics(network, randn(16, 1, 8, 8), bits=(2, 3, 4))
        >>> [layer.name for layer in statistics.layers]
        ['0', '3']
        >>> statistics.tensor("parameter_count").tolist()
        [40.0, 725.0]
    """
    bits = check_bits(bits)
    settings = settings or StatisticsSettings()
    workload = workload_of(model, images, labels).settled()
    taken, answers = workload.samples, workload.targets
    private, state = workload.private(), network_sha256(unwrapped(workload.model))
    workload = workload.of(private.model)
    check_finite(private.model)
    are_chosen = layers is not None
    if layers is None:
        layers = layers_of(private, taken, ties)
    mark = fingerprint(
        state,
        taken,
        answers,
        layers=layers,
        bits=bits,
        settings=settings,
        quantizer=quantizer,
        judged=workload.identity(),
        rounding=None if rounding is None else rounding.identity,
    )
    header = Header(tuple(layers), tuple(bits), mark)
    inputs = Inputs(taken, answers, quantizer, settings, rounding)
    collector = _Collector(private, header, inputs, workload, cache)
    origin = Origin(private, workload, quantizer, collector.divergences, are_chosen=are_chosen)
    return Statistics(header, collector, origin=origin)


def _check_repeatable(outputs: Tensor, again: Tensor) -> None:
    """Refuse a network whose outputs differ by more than what sums in another order do.

    What is drawn from the generators of torch, numpy and Python is the same in every pass.
    """
    same = (outputs == again) | (outputs.isnan() & again.isnan())
    if bool(same.all()):
        return
    apart = float((outputs - again).abs().max())
    if not apart <= _REPEATED * float(outputs.abs().max()):
        raise StatisticsError(
            "the network gives other outputs for the same image each time, as one does that draws "
            "from a generator of its own: let it draw from torch's, which starts anew in each pass"
        )


class _Collector:
    """Computes statistics, or reads those that the cache has.

    Args:
        private: The network's copy.
        header: Identity of the statistics.
        inputs: What the user gave.
        workload: How its outputs are judged.
        cache: Root of the cache, or None.
    """

    def __init__(
        self,
        private: PrivateNetwork,
        header: Header,
        inputs: Inputs,
        workload: Workload,
        cache: Path | None,
    ) -> None:
        self.folder: Path | None = None if cache is None else Path(cache) / header.fingerprint
        self._files = None if self.folder is None else StatisticsFolder(self.folder)
        self._kept: dict[str, Stored] = {}
        self._is_known = workload.is_default
        self._header = header
        network = FunctionalNetwork(private, header.ordered_layers, workload)
        with undisturbed(), torch.no_grad():
            first = take(inputs.images, slice(0, 1))
            logits, again = (network.logits(network.weights(), first) for _ in range(2))
        _check_repeatable(logits, again)
        if inputs.labels is not None and workload.gives_logits:
            self._check_spread(network, inputs)
            classes = check_classes(logits).shape[1]
            labels = check_labels(inputs.labels, len(workload), classes)
            inputs = replace(inputs, labels=labels)
        self._context = Context(header, inputs, network, self._ingredient, self._layout_of)
        self._borrowed = 0.0

    @staticmethod
    def _check_spread(network: FunctionalNetwork, inputs: Inputs) -> None:
        """Refuse logits that no divergence can be had of."""
        with undisturbed(), torch.no_grad():
            few = take(inputs.images, slice(0, _LOOKED_AT))
            check_spread(network.logits(network.weights(), few))

    def names(self) -> tuple[str, ...]:
        """Names of all statistics but the perturbation."""
        return tuple(name for name, record in STATISTICS.items() if record.compute)

    def weight_layout(self) -> Layout:
        """Layout of the statistics shaped as the weights."""
        return self._header.weight_layout

    def stored(self, name: str) -> Stored:
        """Give a statistic from memory, from disk, or by computing it."""
        if name not in self._kept:
            self._kept[name] = self._read(name) or self._compute(name)
        return self._kept[name]

    def divergences(
        self, configurations: NDArray[np.integer], noise: Noise | None = None
    ) -> NDArray[np.float64]:
        """Quantize by whole configurations, and measure what that does; see `Origin`."""
        context, layers = self._context, self._header.weight_layers
        places = np.searchsorted(self._header.bits, configurations)
        with torch.inference_mode(mode=False), one_thread(), undisturbed():
            moved = context.recipe_perturbations()
            quantized = (
                context.network.moved([
                    widths[place[layer.entry]] for widths, layer in zip(moved, layers, strict=True)
                ])
                for place in places
            )  # fmt: skip
            batch = context.batch if noise is None else context.batch.noised(noise)
            found = divergences(
                context.network, quantized, batch, renormed=context.has_norms_to_renew
            )
        values: NDArray[np.float64] = found.numpy()
        return values

    def _ingredient(self, name: str) -> Tensor:
        """Give a statistic to the computation of another, which then counts its seconds, too."""
        start = time.perf_counter()
        outer = self._borrowed
        stored = self.stored(name)
        self._borrowed = outer + stored.seconds - (time.perf_counter() - start)
        return torch.from_numpy(stored.values)

    def _layout_of(self, name: str) -> Layout:
        """Give the layout of a statistic to the computation of another."""
        shapes = self.stored(name).shapes
        return (
            self._header.weight_layout if shapes is None else self._header.activation_layout(shapes)
        )

    def _read(self, name: str) -> Stored | None:
        """Read from the cache; a damaged file counts as none and is written anew.

        So does one of a user's own, or of a workload with such code, since nobody knows whether
        that is still what it was.
        """
        if self._files is None or is_own(name) or not self._is_known:
            return None
        try:
            return self._files.read(name)
        except DamagedError:
            return None

    def _compute(self, name: str) -> Stored:
        """Compute, check and store a statistic."""
        start = time.perf_counter()
        self._borrowed = 0.0
        layout, shapes = None, None
        with undisturbed():
            try:
                found = computation_of(name)(self._context)
            except Exception as error:
                if isinstance(error, GpEmqError) or not isinstance(error, self._failures(name)):
                    raise
                what = (str(error).splitlines() or [""])[0]
                raise StatisticsError(f"statistic {name!r} cannot be computed: {what}") from error
        if isinstance(found, Activations):
            values, shapes = found.values, found.shapes
            layout = self._header.activation_layout(shapes)
        else:
            values = found
            if name not in INGREDIENTS and kind_of(name) == Kind.WEIGHTS:
                layout = self._header.weight_layout
        if is_own(name):
            self._check_own(name, values, shapes)
        self._check_finite(name, values, layout)
        seconds = time.perf_counter() - start + self._borrowed
        stored = Stored(values.numpy(), seconds, shapes)
        if self._files is not None:
            self._files.write_header(self._header)
            self._files.write(name, stored)
        return stored

    @staticmethod
    def _failures(name: str) -> type[Exception]:
        """What a computation may raise: torch's complaints, or anything, in a user's own."""
        return Exception if is_own(name) else RuntimeError

    def _check_own(self, name: str, values: Tensor, shapes: tuple[Shape, ...] | None) -> None:
        """Refuse what a user's own code gives where it is not what its kind says."""
        weights, kind = self._header.weight_layout, kind_of(name)
        widths = len(self._header.bits)
        wanted: tuple[int, ...] = (weights.size,)
        of_activations = kind in {Kind.ACTIVATIONS, Kind.ACTIVATIONS_PER_BIT}
        if of_activations:
            kept = self.stored("activation")
            wanted = kept.values.shape if shapes == kept.shapes else (-1,)
            wanted = (widths, *wanted) if kind == Kind.ACTIVATIONS_PER_BIT else wanted
        elif kind != Kind.WEIGHTS:
            wanted = (weights.entry_count, widths)
            wanted = wanted if kind == Kind.BIT_TABLE else wanted[:1]
        per_entry = kind in {Kind.LAYER_VECTOR, Kind.BIT_TABLE}
        dtype = torch.float64 if per_entry else torch.float32
        if not isinstance(values, Tensor) or (tuple(values.shape), values.dtype) != (wanted, dtype):
            given = (
                f"{values.dtype} {tuple(values.shape)}"
                if isinstance(values, Tensor)
                else type(values).__name__
            )
            shape = "the shapes of activation" if of_activations else str(wanted)
            raise StatisticsError(
                f"statistic {name!r} gives {given}, but {kind} is {dtype} in {shape}"
            )

    def _check_finite(self, name: str, values: Tensor, layout: Layout | None) -> None:
        """Refuse a statistic that is not finite, with the layer where it is not."""
        if bool(values.isfinite().all()):
            return
        places = (
            []
            if layout is None
            else list(zip(self._layers_of(layout), layout.views(values), strict=True))
        )
        bad = [layer.name for layer, view in places if not bool(view.isfinite().all())]
        where = f" in layer {bad[0]!r}" if bad else ""
        hint = (
            ": numbers of the network, or of its loss, leave float32; let a forward or a loss of "
            "Workload make them smaller"
            if bool(values.isinf().any())
            else ""
        )
        raise StatisticsError(f"statistic {name!r} is not finite{where}{hint}")

    def _layers_of(self, layout: Layout) -> tuple[Layer, ...]:
        """The layers that the tensors of a layout belong to."""
        weights = self._header.weight_layers
        return weights if len(layout.shapes) == len(weights) else self._header.ordered_layers
