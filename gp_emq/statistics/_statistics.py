"""Statistics of one network on one calibration batch, by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.determinism import one_thread
from gp_emq.errors import StatisticsError
from gp_emq.networks import (
    NOT_CALLED,
    NOT_GIVEN,
    Layer,
    PrivateNetwork,
    Workload,
    multiplied_beside,
    reasons_kept,
)
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics._batch import Noise
from gp_emq.statistics._cache import StatisticsFolder
from gp_emq.statistics._catalogue import kind_of
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._header import Header, sha256_of
from gp_emq.statistics._layout import Layout
from gp_emq.statistics._record import Kind
from gp_emq.statistics._rescaled import RescaledSource
from gp_emq.statistics._sources import (
    ELEMENTS,
    GRIDS,
    INDEPENDENCE,
    FolderSource,
    SampleSource,
    Source,
)

PERTURBATION = "perturbation"


@dataclass(frozen=True)
class Origin:
    """What statistics are collected from.

    Attributes:
        network: A private copy of the network, which is what is run.
        workload: Its samples and how it is judged; its model is the private copy.
        quantizer: Quantizer of the weights.
        divergences: Quantizes the network by each of some configurations, (n, entries), and says
            how far its outputs are from the float network's, the mean over the samples, (n,);
            weights and batch norms are as the recipe leaves them. Both see the samples with noise,
            if that is given.
        are_chosen: Whether the caller named the layers, so that the network may call others.
    """

    network: PrivateNetwork
    workload: Workload
    quantizer: WeightQuantizer
    divergences: Callable[[NDArray[np.integer], Noise | None], NDArray[np.float64]]
    are_chosen: bool = False


class Statistics:
    """Per-layer tensors of one network, each made or read when it is first asked for.

    Made by `collect_statistics` and `open_statistics`.

    Args:
        header: Identity.
        source: Where they come from.
        dtype: What float32 statistics are cast to.
        origin: What they are collected from, where that is at hand.
    """

    def __init__(
        self,
        header: Header,
        source: Source,
        dtype: torch.dtype = torch.float32,
        origin: Origin | None = None,
    ) -> None:
        self._origin = origin
        self._header = header
        self._source = source
        self._dtype = dtype
        self._tensors: dict[str, Tensor] = {}
        self._shapes: dict[str, Layout] = {}
        self._seconds: dict[str, float] = {}
        self._grids: WeightGrids | None = None
        self._weight: Tensor | None = None
        self._kept_in_float: dict[str, str] | None = None

    @property
    def origin(self) -> Origin | None:
        """What they are collected from; None for those that were opened or cut out."""
        return self._origin

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in forward order."""
        return self._header.layers

    @property
    def kept_in_float(self) -> Mapping[str, str]:
        """Weights of the network that are in none of the layers, with the reason of each.

        Empty where the network is not at hand; see `origin`.
        """
        if self._kept_in_float is None:
            self._kept_in_float = {}
            if self._origin is not None:
                network = self._origin.network
                model = network.model
                # A pass may have left other tensors in the parameters' places.
                held = [model.get_submodule(layer.name)._parameters for layer in self.layers]
                weights = [found["weight"] for found in held]
                self._kept_in_float = reasons_kept(
                    model,
                    [weight for weight in weights if weight is not None],
                    unlisted=NOT_GIVEN if self._origin.are_chosen else NOT_CALLED,
                    beside=multiplied_beside(network, self._origin.workload.samples),
                )
        return MappingProxyType(self._kept_in_float)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the statistics that are float32 unless `to` cast them."""
        return self._dtype

    @property
    def bits(self) -> tuple[int, ...]:
        """The bit widths, rising."""
        return self._header.bits

    @property
    def fingerprint(self) -> str:
        """Sha256 of everything the statistics depend on, as 64 hexadecimal digits."""
        return self._header.fingerprint

    @property
    def names(self) -> tuple[str, ...]:
        """Names that `tensor` knows, beside those of a user's own."""
        names = self._source.names()
        return (*names, PERTURBATION) if "weight" in names else names

    @property
    def folder(self) -> Path | None:
        """Where `open_statistics` finds those asked for so far; None without a cache."""
        return self._source.folder

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds that each statistic asked for so far took to compute, now or earlier.

        Those of what it is computed from are in it.
        """
        return MappingProxyType(self._seconds)

    def kind_of(self, name: str) -> Kind:
        """Look up the kind of a statistic.

        Raises:
            StatisticsError: There is no such statistic.
        """
        return kind_of(name)

    def layout(self, kind: Kind | str) -> Layout:
        """Where each layer's tensor lies in a flat buffer of a kind.

        Args:
            kind: Weights, WeightsPerBit, Activations or ActivationsPerBit; the last two record
                the activations.

        Raises:
            StatisticsError: The kind has no tensors per layer.
        """
        if kind in {Kind.WEIGHTS, Kind.WEIGHTS_PER_BIT}:
            return self._source.weight_layout()
        if kind in {Kind.ACTIVATIONS, Kind.ACTIVATIONS_PER_BIT}:
            if "activation" not in self._shapes:
                self._load("activation")
            if "activation" not in self._shapes:
                raise StatisticsError("the stored activations are damaged: they have no shapes")
            return self._shapes["activation"]
        raise StatisticsError(
            f"kind {kind!s} has no layout; Weights, Activations and both per bit have"
        )

    def is_stored(self, name: str) -> bool:
        """Say whether a statistic lies on disk already, whoever computed it.

        Raises:
            StatisticsError: There is no such statistic.
        """
        names = (GRIDS, "weight") if kind_of(name) == Kind.WEIGHTS_PER_BIT else (name,)
        folder = self.folder
        return folder is not None and set(names) <= set(StatisticsFolder(folder).names())

    def tensor(self, name: str) -> Tensor:
        """Give one statistic; it is shared, so do not write to it.

        Args:
            name: One of `names`.

        Returns:
            float32 (N,) for Weights and Activations, laid out by `layout`; float32
            (bits, N) for WeightsPerBit and ActivationsPerBit; float64 (entries,) for
            LayerVector and (entries, bits) for BitTable.

        Raises:
            StatisticsError: It is unknown, not stored, or not finite.
        """
        kind = kind_of(name)
        if kind == Kind.WEIGHTS_PER_BIT:
            return self.perturbation()
        if name not in self._tensors:
            self._load(name)
        return self._tensors[name]

    @property
    def images_are_independent(self) -> bool:
        """Whether the network gives an image in a batch the outputs that it has alone.

        Where it does not, all statistics are of the network as it answers single images.
        """
        return bool(self._source.stored(INDEPENDENCE).values[0])

    @property
    def images_add_up(self) -> bool:
        """Whether layers give as many numbers for a batch as for its images alone.

        They do not where images share a call, as that of an embedding of positions: sums over what
        the images have of it are of images one by one.
        """
        return bool(self._source.stored(INDEPENDENCE).values[1])

    def activation_elements(self) -> Tensor:
        """How many elements of each layer's activation belong to each of the images kept.

        A layer's tensor holds the elements of the first image, then those of the second.

        Returns:
            int64 (layers, images), the layers as in the layout of the activations; 0 where the
            image does not reach the layer.
        """
        return torch.from_numpy(self._source.stored(ELEMENTS).values)

    def perturbation(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Recompute the quantized weight minus the weight; it is never kept.

        Args:
            start: First element of the weights' layout.
            stop: End of the range, the layout's size if None.

        Returns:
            float32 (bits, stop − start). After `to`, the float32 values in the other type,
            so that both are computed from equal inputs.
        """
        with torch.inference_mode(mode=False), one_thread():
            return self._perturbation(start, stop)

    def _perturbation(self, start: int, stop: int | None) -> Tensor:
        layout = self._source.weight_layout()
        if self._grids is None or self._weight is None:
            self._weight = torch.from_numpy(self._source.stored("weight").values)
            values = torch.from_numpy(self._source.stored(GRIDS).values)
            self._grids = WeightGrids.unpack(layout, values)
        stop = layout.size if stop is None else stop
        return self._grids.perturbation(self._weight, start, stop).to(self._dtype)

    def magnitudes(self, name: str) -> tuple[float, ...]:
        """Give the largest absolute value of each layer's tensor.

        Args:
            name: Of a statistic that has one tensor per layer, or one per layer and width: there
                it is that of the weights, or activations, that it is a change of.

        Raises:
            StatisticsError: As `tensor` and `layout`.
        """
        kind = kind_of(name)
        layout = self.layout(kind)
        name = {Kind.WEIGHTS_PER_BIT: "weight", Kind.ACTIVATIONS_PER_BIT: "activation"}.get(
            kind, name
        )
        values = torch.from_numpy(self._source.stored(name).values)
        return tuple(
            float(part.abs().amax()) if part.numel() else 0.0 for part in layout.views(values)
        )

    def prepare(self, names: Iterable[str]) -> None:
        """Compute, and with a cache store, what will be needed.

        Args:
            names: Some of `names`.

        Raises:
            StatisticsError: As `tensor`.
        """
        for name in names:
            if kind_of(name) == Kind.WEIGHTS_PER_BIT:
                self.perturbation(0, 1)
            else:
                self.tensor(name)

    def content_sha256(self, names: Iterable[str]) -> str:
        """Hash the values of statistics.

        Args:
            names: Some of `names`; their order does not matter.

        Returns:
            64 hexadecimal digits.
        """
        return sha256_of((name, self.tensor(name)) for name in sorted(set(names)))

    def subsample(self, scale: int = 1) -> "Statistics":
        """Cut a small block out of each layer's tensors, to try a formula on.

        Weights keep at most 8 × 8 channels and whole kernels, activations at most
        2 images × 8 channels × 4 × 4 positions, all evenly spread; every tensor keeps its
        rank, and what is one number per entry stays as it is.

        Args:
            scale: How many times as much to keep along each axis. Beyond 1 it is another part
                of the tensors where they are larger than that, not the same and more.
        """
        source = SampleSource(self._source, self._header, scale)
        return Statistics(self._header, source, self._dtype)

    def rescaled(self, factors: Tensor) -> "Statistics":
        """Give the statistics of the network with rescaled weights that computes the same.

        Args:
            factors: float64 (entries,), positive, what each entry's weights are multiplied by;
                a batch norm behind each of its layers undoes that. Powers of two cost no digits.
        """
        source = RescaledSource(self._source, self._header, factors)
        return Statistics(self._header, source, self._dtype)

    def to(self, dtype: torch.dtype) -> "Statistics":
        """Give the same statistics with float32 tensors cast to another type."""
        return Statistics(self._header, self._source, dtype, self._origin)

    def _load(self, name: str) -> None:
        """Get a statistic from the source and keep it."""
        with torch.inference_mode(mode=False):
            stored = self._source.stored(name)
            tensor = torch.from_numpy(stored.values)
        if tensor.dtype == torch.float32:
            tensor = tensor.to(self._dtype)
        if stored.shapes is not None:
            self._shapes[name] = self._header.activation_layout(stored.shapes)
        self._seconds[name] = stored.seconds
        self._tensors[name] = tensor


def open_statistics(folder: Path) -> Statistics:
    """Open statistics that a collection left on disk; arrays are memory-mapped.

    Args:
        folder: What `Statistics.folder` gave.

    Returns:
        Statistics that read and never compute.

    Raises:
        StatisticsError: The folder holds no statistics of this format.
    """
    source = FolderSource(Path(folder))
    return Statistics(source.header, source)
