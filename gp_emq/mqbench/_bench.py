"""A bench: bit configurations of a network with the accuracies they really give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import BenchError
from gp_emq.files import shortened
from gp_emq.mqbench._selection import Chosen, check_chosen
from gp_emq.networks import MEBIBYTE, TOP_1, Layer, entry_layers
from gp_emq.quantization import MAX_BITS, MIN_BITS

TRAINING, VALIDATION, TEST = 0, 1, 2
_ONCE_IN_FLOAT = {"Embedding", "Projection"}
"""Kinds of layers that had no width in earlier versions."""
_NAMED = 3
"""Layers that a complaint names."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Measured bit configurations of one network.

    Attributes:
        name: of the bench.
        network: name of the network, as `load_network` takes it.
        layers: names of the layers in forward order.
        entries: for each bit entry the indices into `layers` that it decides.
        bits: the bit choices, ascending.
        protocol: name of the protocol, which says how the accuracies were measured.
        configurations: int8 (n, entries), all different.
        accuracies: float64 (n,), the metric of each configuration; top-1 is in [0, 1].
        correct: uint8 (n, ceil(images / 8)), which images each configuration labels rightly,
            packed as `numpy.packbits` does; `None` where that is not known.
        images: number of test images.
        split: int8 (n,), 0 training, 1 validation, 2 test.
        groups: number of base images; image `i` shows base image `i % groups`. Smaller than
            `images` only where each was distorted several times.
        provenance: settings, seeds, versions and checksums of what it was measured from.
        chosen: how each configuration was chosen, (n,); empty where all are random.
        metric: name of the metric.
        higher_is_better: its direction.
        values: float32 (n, images), the metric of each sample where it is a mean over samples;
            `None` where that is not known, or is in `correct`.

    Raises:
        BenchError: if the parts do not fit together.
    """

    name: str
    network: str
    layers: tuple[str, ...]
    entries: tuple[tuple[int, ...], ...]
    bits: tuple[int, ...]
    protocol: str
    configurations: NDArray[np.int8]
    accuracies: NDArray[np.float64]
    correct: NDArray[np.uint8] | None
    images: int
    split: NDArray[np.int8]
    groups: int
    provenance: Mapping[str, Any] = field(default_factory=dict)
    chosen: tuple[Chosen, ...] = ()
    metric: str = TOP_1.name
    higher_is_better: bool = TOP_1.higher_is_better
    values: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def training(self) -> NDArray[np.intp]:
        """Indices of the training configurations, ascending."""
        return np.flatnonzero(self.split == TRAINING)

    @property
    def validation(self) -> NDArray[np.intp]:
        """Indices of the validation configurations, ascending."""
        return np.flatnonzero(self.split == VALIDATION)

    @property
    def test(self) -> NDArray[np.intp]:
        """Indices of the test configurations, ascending."""
        return np.flatnonzero(self.split == TEST)

    @property
    def oriented(self) -> NDArray[np.float64]:
        """The metric of each configuration, turned so that higher is better, (n,)."""
        return self.accuracies if self.higher_is_better else -self.accuracies

    def by_sample(self) -> NDArray[np.bool_] | NDArray[np.float32] | None:
        """Return the metric of each sample under each configuration, (n, images), if known."""
        return self.correctness() if self.values is None else self.values

    def correctness(self) -> NDArray[np.bool_] | None:
        """Return which images each configuration labels rightly, bool (n, images)."""
        if self.correct is None:
            return None
        return np.unpackbits(self.correct, axis=1, count=self.images).astype(bool)


def check_layers(bench: Bench, layers: Sequence[Layer], network: str) -> None:
    """Refuse a network that is none of which a bench was measured.

    Args:
        bench: the bench.
        layers: of the network.
        network: its name, for the complaint.

    Raises:
        BenchError: if its layers, or what ties them, are others than those of the bench.
    """
    names = tuple(layer.name for layer in layers)
    if names != bench.layers or entry_layers(layers) != bench.entries:
        raise BenchError(
            f"the layers of {network} are not those of bench {bench.name}: "
            f"{_difference(bench, layers)}"
        )


def _difference(bench: Bench, layers: Sequence[Layer]) -> str:
    """Say which layers a bench or a network has that the other has not."""
    lacking = sorted(set(bench.layers) - {layer.name for layer in layers}, key=bench.layers.index)
    unknown = [layer for layer in layers if layer.name not in bench.layers]
    said = [f"the network lacks {_some(lacking)}"] if lacking else []
    if unknown:
        named = _some([f"{layer.name} ({layer.kind})" for layer in unknown])
        said.append(f"the bench does not know {named}")
    if not lacking and unknown and {layer.kind for layer in unknown} <= _ONCE_IN_FLOAT:
        said.append("they stayed in float when it was built: build it anew")
    return "; ".join(said) or "they are in another order, or tied otherwise"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shortened(name).strip("'") for name in names[:_NAMED]) + more


def configuration_sizes(bench: Bench, layers: Sequence[Layer]) -> NDArray[np.float64]:
    """Return the size of each configuration's quantized layers, which says which cost the same.

    Args:
        bench: the bench.
        layers: of its network.

    Returns:
        MiB of weights and biases at the layers' widths, (n,); batch norms do not count.
    """
    parameters = np.zeros(len(bench.entries))
    for layer in layers:
        parameters[layer.entry] += layer.parameters
    sizes: NDArray[np.float64] = bench.configurations @ parameters / (8 * MEBIBYTE)
    return sizes


def _check(bench: Bench) -> None:
    _check_structure(bench)
    count = len(bench.configurations)
    _expect(bench, "configurations", np.int8, (count, len(bench.entries)))
    _expect(bench, "accuracies", np.float64, (count,))
    _expect(bench, "split", np.int8, (count,))
    if count == 0:
        raise _fault(bench, "it has no configurations")
    outside = bench.configurations[~np.isin(bench.configurations, bench.bits)]
    if len(outside):
        raise _fault(bench, f"a width of {outside[0]} is none of its bit choices {bench.bits}")
    if len(np.unique(bench.configurations, axis=0)) != count:
        raise _fault(bench, "a configuration is there twice")
    if not np.isfinite(bench.accuracies).all():
        raise _fault(bench, "an accuracy is not finite")
    if bench.metric != TOP_1.name:
        _check_metric(bench)
    elif not bench.higher_is_better:
        raise _fault(bench, f"of {TOP_1.name} higher is better")
    elif bench.accuracies.min() < 0 or bench.accuracies.max() > 1:
        raise _fault(bench, "an accuracy is outside 0 to 1")
    if not np.isin(bench.split, (TRAINING, VALIDATION, TEST)).all():
        raise _fault(bench, "a split is none of 0 (training), 1 (validation), 2 (test)")
    if bench.correct is not None:
        _check_correct(bench)
    if bench.chosen:
        try:
            check_chosen(bench.chosen, count)
        except BenchError as error:
            raise _fault(bench, str(error)) from error
    if bench.values is not None:
        _check_values(bench, bench.values)


def _check_structure(bench: Bench) -> None:
    if not bench.layers or len(set(bench.layers)) != len(bench.layers):
        raise _fault(bench, "its layers need distinct names, at least one")
    covered = sorted(index for entry in bench.entries for index in entry)
    if covered != list(range(len(bench.layers))) or not all(bench.entries):
        raise _fault(bench, f"its entries do not cover its {len(bench.layers)} layers once each")
    if not bench.bits or list(bench.bits) != sorted(set(bench.bits)):
        raise _fault(bench, f"its bit choices {shortened(bench.bits)} are not ascending")
    if not all(MIN_BITS <= width <= MAX_BITS for width in bench.bits):
        raise _fault(
            bench,
            f"its bit choices {shortened(bench.bits)} are not all {MIN_BITS} to {MAX_BITS}",
        )
    if bench.images < 1 or bench.groups < 1 or bench.images % bench.groups:
        raise _fault(bench, f"{bench.images} images do not show {bench.groups} base images each")


def _check_correct(bench: Bench) -> None:
    count = len(bench.configurations)
    _expect(bench, "correct", np.uint8, (count, (bench.images + 7) // 8))
    shares = np.asarray(bench.correctness()).mean(axis=1)
    if not np.allclose(shares, bench.accuracies, rtol=0, atol=0.01 / bench.images):
        worst = int(np.abs(shares - bench.accuracies).argmax())
        raise _fault(
            bench,
            f"configuration {worst} has the accuracy {bench.accuracies[worst]:.6f}, but "
            f"{shares[worst]:.6f} of its images are right",
        )


def _check_metric(bench: Bench) -> None:
    if not bench.metric or not bench.metric.isprintable():
        raise _fault(bench, f"its metric {shortened(bench.metric)} has no name in one line")
    if bench.correct is not None:
        raise _fault(bench, f"its metric is {bench.metric}, which no sample has right or wrong")


def _check_values(bench: Bench, values: NDArray[np.float32]) -> None:
    if bench.correct is not None:
        raise _fault(bench, "it has both values and correctness of its samples")
    _expect(bench, "values", np.float32, (len(bench.configurations), bench.images))
    means = values.mean(axis=1, dtype=np.float64)
    if not np.allclose(means, bench.accuracies, rtol=1e-4, atol=1e-7):
        worst = int(np.abs(means - bench.accuracies).argmax())
        raise _fault(
            bench,
            f"configuration {worst} has the {bench.metric} {bench.accuracies[worst]:.6g}, but the "
            f"mean over its samples is {means[worst]:.6g}",
        )


def _expect(bench: Bench, name: str, dtype: type, shape: tuple[int, ...]) -> None:
    array = getattr(bench, name)
    if array.dtype != dtype or array.shape != shape:
        raise _fault(
            bench,
            f"{name} must be {np.dtype(dtype)} {shape}, not {array.dtype} {array.shape}",
        )


def _fault(bench: Bench, what: str) -> BenchError:
    return BenchError(f"bench {shortened(bench.name)[1:-1]}: {what}")
