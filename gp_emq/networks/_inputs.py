"""What a command works on: a network, and the samples that it calibrates and measures on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gp_emq.errors import DataError
from gp_emq.networks._arrays import check_fit, drawn, look_like_pixels, own_arrays
from gp_emq.networks._augmentation import Augmentation
from gp_emq.networks._images import (
    ImageSet,
    data_set_of,
    load_calibration,
    load_rest,
    load_test,
)
from gp_emq.networks._layers import called_layers
from gp_emq.networks._loading import layers_in, load_workload, network_of
from gp_emq.networks._registry import Network, load_network
from gp_emq.networks._samples import take
from gp_emq.networks._workload import Workload

OWN_ARRAYS = "own"
OWN_WORKLOAD = "workload"
_SOME = slice(0, 16)
_DISTORTED = ("digits", "cifar10")
"""Data sets whose images are kept as the network takes them, and can be distorted."""


@dataclass(frozen=True)
class Division:
    """Samples that calibrate, and others that measure.

    Attributes:
        calibration: the network with the first.
        test: the network with the others, in their order, and targets to compare with.
        groups: number of base images; test image `i` shows base image `i % groups`.
        labelled: whether the targets were given; else they are the network's own answers.
    """

    calibration: Workload
    test: Workload
    groups: int
    labelled: bool


@dataclass(frozen=True)
class Inputs:
    """A network, and where its samples are from.

    Attributes:
        network: the network.
        data_set: name of the data set; `"own"` for a file of arrays, `"workload"` for a workload.
        data: files and folders of the data set; none for the default place.
        own: the network with all of the samples that are no data set's.
    """

    network: Network
    data_set: str
    data: tuple[Path, ...] = ()
    own: Workload | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the data set is looked for; empty for its default place.

        Raises:
            DataError: if the network is one's own, and nobody says of which images it is: a shape
                that it shares with a known data set does not say so. The digits are 8x8 alone.
        """
        is_own = ":" in self.network.name
        if is_own and not self.data and self.data_set != "digits":
            raise DataError(
                f"{self.network.name} is a network of your own: give its images as data, an .npz "
                f"of x float32 (n, {', '.join(map(str, self.network.input_shape))}) and, if there "
                f"are labels, y; or the files of {self.data_set}, if it was made for them"
            )
        return self.data

    @property
    def remark(self) -> str:
        """What is odd about samples of one's own, and may yet be meant; empty where nothing is."""
        if self.own is None:
            return ""
        if self.data_set != OWN_ARRAYS:
            return self.own.remark
        if not look_like_pixels(take(self.own.samples, _SOME)):
            return ""
        return (
            f"{self.data[0]}: x holds whole numbers up to 255, as pixels are; it must be what the "
            "network takes, normalized as in training"
        )

    def calibration(self, count: int, seed: int) -> Workload:
        """Draw samples to calibrate on, where none are needed to measure on.

        Args:
            count: how many; of samples of one's own at most as many as there are.
            seed: of the draw.

        Raises:
            DataError: if the data set is not found, or has fewer.
        """
        _check_seed(seed)
        if self.own is not None:
            return self.own.part(drawn(len(self.own), count, seed)[0])
        return self._images(load_calibration(self.data_set, self.paths, count=count, seed=seed))

    def calibrated(self, count: int, seed: int) -> "Inputs":
        """Return the same with the layers that the calibration samples call.

        A network of one's own may choose layers by what it is fed, and those that no calibration
        sample calls cannot be quantized.

        Args:
            count: as `calibration` takes it.
            seed: likewise.

        Raises:
            DataError: likewise.
            NetworkError: if none is called.
        """
        if self.own is None and ":" not in self.network.name:
            return self
        samples = self.calibration(count, seed)
        layers = called_layers(samples.private(), samples.samples)
        return replace(self, network=replace(self.network, layers=layers))

    def held_back(self, calibration: int, count: int, seed: int) -> Workload:
        """Draw samples to compare plans on, none of which calibrates or tests.

        They are drawn as those of `calibration` are, after them. Digits and images of CIFAR-10 are
        distorted as in training, each anew as often as it takes: a network knows the images that
        it was trained on too well for them to tell plans apart.

        Args:
            calibration: how many samples calibrate.
            count: how many to draw; fewer where there are not so many.
            seed: of the draws.

        Raises:
            DataError: if none are left.
        """
        _check_seed(seed)
        if self.own is not None:
            left = drawn(len(self.own), calibration, seed)[1][:count]
            if not len(left):
                raise DataError(
                    f"{self._source()} has {len(self.own)} samples, which all calibrate: none are "
                    "left to compare plans on"
                )
            return self.own.part(left)
        images = load_rest(self.data_set, self.paths, calibration=calibration, seed=seed)
        if self.data_set not in _DISTORTED:
            return self._images(images.subset(torch.arange(len(images.labels))[:count]))
        return self._images(_distorted(images, self.data_set, count, seed))

    def divided(self, calibration: int, tests: int | None, seed: int, *, seen: int = 0) -> Division:
        """Draw samples to calibrate on, and others to measure on.

        Args:
            calibration: how many calibrate; of samples of one's own at most half do.
            tests: most samples to measure on; None for all.
            seed: of the draws.
            seen: how many of the samples that are drawn first chose a plan, and so measure
                nothing.

        Raises:
            DataError: if there are too few.
        """
        _check_seed(seed)
        if self.own is None:
            images = load_test(
                self.data_set,
                self.paths,
                calibration=max(calibration, seen),
                count=tests,
                seed=seed,
            )
            fitted, test = self.calibration(calibration, seed), self._images(images)
            return Division(fitted, test, images.groups, labelled=True)
        total = len(self.own)
        if total < 2:
            raise DataError(
                f"{self._source()} has 1 sample: at least one to calibrate and one to test on"
            )
        own = self._checked(self.own)
        chosen, rest = drawn(total, min(calibration, total // 2), seed)
        rest = rest[max(0, seen - len(chosen)) :]
        if not len(rest):
            raise DataError(
                f"{self._source()} has {total} samples, all of which chose the plan: none are left "
                "to test on; plan with fewer, by --images and --measure-images of allocate"
            )
        test = own.part(rest[:tests].sort().values)
        labelled = test.targets is not None
        return Division(own.part(chosen), test.answered(), len(test), labelled=labelled)

    def _checked(self, workload: Workload) -> Workload:
        return workload.checked(self.network.name)

    def _images(self, images: ImageSet) -> Workload:
        return self._checked(Workload(self.network.model, images.images, images.labels))

    def _source(self) -> str:
        return str(self.data[0]) if self.data else self.network.name


def _distorted(images: ImageSet, data_set: str, count: int, seed: int) -> ImageSet:
    """Distort images as in training, in turn until there are enough.

    The first half of them shows other images than the second, so that one can confirm the other.
    """
    side = int(images.images.shape[-1])
    augmentation = Augmentation(data_set, side)
    middle, first = len(images.labels) // 2, count // 2
    chosen = torch.cat(
        [
            torch.arange(first) % max(1, middle),
            middle + torch.arange(count - first) % (len(images.labels) - middle),
        ]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = [augmentation(images.images[index]) for index in chosen]
    return ImageSet(torch.stack(parts), images.labels[chosen], len(images.labels))


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise DataError(f"seed must be at least 0, not {seed}")


def load_inputs(
    network: str | None,
    weights: Path | None = None,
    data: Sequence[Path] = (),
    *,
    workload: str | Workload | None = None,
) -> Inputs:
    """Load a network, and find its samples; those of data sets are loaded when asked for.

    Args:
        network: a registered name, or `package.module:factory`.
        weights: its weights; see `load_network`.
        data: files and folders of its data set, or one `.npz` file of arrays as the network
            takes them: `x` float32 (n, C, H, W) and, where there are labels, `y` (n,).
        workload: instead of a network and data, a workload or `package.module:function` that
            returns one.

    Raises:
        DataError: if there are data beside a workload, or a file does not read or fit.
        NetworkError: if network or weights are unknown, missing or do not fit.
    """
    if workload is not None:
        if network is not None:
            raise DataError(f"a workload brings its network along: give it alone, not {network}")
        if data:
            raise DataError(f"a workload brings its samples along: give no data, not {data[0]}")
        name = workload if isinstance(workload, str) else None
        loaded = load_workload(workload) if isinstance(workload, str) else workload
        made = network_of(loaded, name or type(loaded.model).__name__, weights)
        return Inputs(made, OWN_WORKLOAD, own=loaded)
    if network is None:
        raise DataError("there is no network: give its name, package.module:factory, or a workload")
    arrays = own_arrays(data)
    found = load_network(network, weights, None if arrays is None else tuple(arrays[0].shape[1:]))
    if arrays is not None:
        check_fit(found, data[0], arrays[0])
        own = Workload(found.model, *arrays)
        if ":" in found.name:
            found = replace(found, layers=layers_in(own))
        return Inputs(found, OWN_ARRAYS, tuple(data), own)
    data_set = data_set_of(found.name, found.input_shape)
    if data_set == "imagenet" and [path.suffix for path in data] == [".npz"]:
        raise DataError(
            f"{data[0]}: x is uint8, pixels, which are not what {found.name} takes: make it "
            "float32 (n, C, H, W), normalized as in training"
        )
    return Inputs(found, data_set, tuple(data))
