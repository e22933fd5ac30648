"""What a command quantizes and evaluates: a network, calibration images and test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.networks import (
    Network,
    PrivateNetwork,
    Workload,
    batch_size,
    data_set_of,
    drawn,
    load_calibration,
    load_network,
    load_test,
    own_arrays,
    undisturbed,
)
from gp_emq.ptq._accuracy import Right, predictions
from gp_emq.quantization import QuantizedModel
from gp_emq.statistics import check_images, check_labels


@dataclass(frozen=True)
class EvaluationInputs:
    """A network with the images that it is quantized on and evaluated on.

    Attributes:
        network: The float network.
        calibration: float32 (n, C, H, W).
        images: Test images, float32 (m, C, H, W), none of them in the calibration batch.
        labels: int64 (m,); where there are none, what the float network says.
        labelled: Whether the labels are given.
        groups: Number of base images that the test images show.
    """

    network: Network
    calibration: Tensor
    images: Tensor
    labels: Tensor
    labelled: bool
    groups: int

    @property
    def batch(self) -> int:
        """Test images that go through the network at once."""
        return batch_size(self.network.input_shape)

    def right(self, quantized: QuantizedModel | None = None) -> Right:
        """Say which test images are labelled rightly.

        Args:
            quantized: By which network; None for the float one.
        """
        model = self.network.model if quantized is None else quantized
        found: Right = Workload(model, self.images, self.labels).measured(self.batch).numpy()
        return found


def load_evaluation_inputs(
    network: str,
    weights: Path | None = None,
    data: Sequence[Path] = (),
    *,
    calibration: int,
    tests: int | None = None,
    seed: int = 0,
) -> EvaluationInputs:
    """Load a network with calibration and test images.

    Args:
        network: A registered name, or `package.module:factory`.
        weights: Its weights; see `gp_emq.networks.load_network`.
        data: Files and folders of its data set, or one `.npz` file of arrays as the network
            takes them: `x` float32 (n, C, H, W) and, where there are labels, `y` (n,). Of such a
            file at most half of the images calibrate, and the others test.
        calibration: Most images of the calibration batch.
        tests: Most test images; None for all.
        seed: Of the draws of images.

    Raises:
        GpEmqError: Network, weights or images are unknown, missing or do not fit.
    """
    loaded = load_network(network, weights)
    arrays = own_arrays(loaded, data)
    if arrays is not None:
        return _from_arrays(loaded, arrays, data[0], calibration, tests=tests, seed=seed)
    data_set = data_set_of(loaded.name, loaded.input_shape)
    batch = load_calibration(data_set, data, count=calibration, seed=seed)
    test = load_test(data_set, data, calibration=calibration, count=tests, seed=seed)
    labels = check_labels(test.labels, len(test.images), _classes(loaded, test.images))
    return EvaluationInputs(
        loaded, batch.images, test.images, labels, labelled=True, groups=test.groups
    )


def _from_arrays(
    network: Network,
    arrays: tuple[Tensor, Tensor | None],
    path: Path,
    calibration: int,
    *,
    tests: int | None,
    seed: int,
) -> EvaluationInputs:
    images, labels = check_images(arrays[0]), arrays[1]
    if len(images) < 2:
        raise DataError(f"{path} has 1 image: at least one to calibrate and one to test on")
    batch, rest = drawn(len(images), min(calibration, len(images) // 2), seed)
    rest = rest[:tests].sort().values
    chosen = images[rest]
    classes = _classes(network, chosen)
    if labels is None:
        own = predictions(network.model, chosen, batch_size(network.input_shape))
        return EvaluationInputs(
            network, images[batch], chosen, own, labelled=False, groups=len(rest)
        )
    checked = check_labels(labels[rest], len(rest), classes)
    return EvaluationInputs(
        network, images[batch], chosen, checked, labelled=True, groups=len(rest)
    )


def _classes(network: Network, images: Tensor) -> int:
    with undisturbed(), torch.no_grad():
        logits = PrivateNetwork(network.model).run(images[:1])
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise DataError(f"{network.name} gives no logits (n, classes): it cannot be evaluated")
    return int(logits.shape[1])
