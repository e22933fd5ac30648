"""What the command trains: a network, its training images, and what it is evaluated on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.networks import (
    DATA_VARIABLE,
    Augmentation,
    Network,
    PrivateNetwork,
    data_set_of,
    drawn,
    fitting_arrays,
    import_torchvision,
    load_calibration,
    load_images,
    load_network,
    own_arrays,
    undisturbed,
)
from gp_emq.ptq import predictions
from gp_emq.qat._evaluation import LabelledImages
from gp_emq.qat._samples import FileImages, PreparedImages, Samples, TensorImages


@dataclass(frozen=True)
class QatInputs:
    """A network with its images.

    Attributes:
        network: The float network.
        samples: The training images.
        calibration: Images that the grids start from, float32 (n, C, H, W).
        test: What to evaluate on; None where there is nothing.
    """

    network: Network
    samples: Samples
    calibration: Tensor
    test: LabelledImages | None


def load_qat_inputs(
    network: str,
    weights: Path | None = None,
    data: Sequence[Path] = (),
    test_data: Path | None = None,
    *,
    images: int = 512,
    seed: int = 0,
) -> QatInputs:
    """Load a network and the images to train it on.

    Args:
        network: A registered name, or `package.module:factory`.
        weights: Its weights; see `gp_emq.networks.load_network`.
        data: Files and folders of its data set; for ImageNet the folder that holds `train` and
            `val`, each with a folder per class; or one `.npz` file of arrays as the network
            takes them, which are trained on as they are: `x` float32 (n, C, H, W) and, where
            there are labels, `y` (n,). Without labels the float network's predictions are taken.
        test_data: A file of such arrays to evaluate on, with labels.
        images: Calibration images.
        seed: Of their draw.

    Raises:
        GpEmqError: Network, weights or images are unknown, missing or do not fit.
    """
    loaded = load_network(network, weights)
    arrays = own_arrays(loaded, data)
    data_set = data_set_of(loaded.name, loaded.input_shape)
    if arrays is not None:
        inputs = _own(loaded, data[0], arrays, images, seed)
    elif data_set == "imagenet":
        inputs = _imagenet(loaded, data, images, seed)
    else:
        inputs = _in_memory(loaded, data_set, data, images, seed)
    if test_data is not None:
        inputs = QatInputs(loaded, inputs.samples, inputs.calibration, _own_test(loaded, test_data))
    return inputs


def _in_memory(
    network: Network, data_set: str, data: Sequence[Path], images: int, seed: int
) -> QatInputs:
    training = load_images(data_set, data, part="training")
    if training is None:
        raise DataError(f"{data_set} data without training images: there is nothing to train on")
    _check_labels(network, training.labels, "the training images")
    test = load_images(data_set, data, part="test")
    return QatInputs(
        network,
        Samples(
            TensorImages(training.images, training.labels),
            Augmentation(data_set, network.input_shape[1]),
        ),
        load_calibration(data_set, data, count=images, seed=seed).images,
        None if test is None else PreparedImages(TensorImages(test.images, test.labels)),
    )


def _own(
    network: Network, path: Path, arrays: tuple[Tensor, Tensor | None], images: int, seed: int
) -> QatInputs:
    found, labels = arrays
    if labels is None:
        labels = predictions(network.model, found, 256)
    _check_labels(network, labels, str(path))
    source = TensorImages(found, labels)
    return QatInputs(network, Samples(source), found[drawn(len(found), images, seed)[0]], None)


def _own_test(network: Network, path: Path) -> LabelledImages:
    images, labels = fitting_arrays(network, path) or (None, None)
    if images is None or labels is None:
        raise DataError(f"{path}: test images need x float32 (n, C, H, W) and labels y")
    _check_labels(network, labels, str(path))
    return PreparedImages(TensorImages(images, labels))


def _imagenet(network: Network, data: Sequence[Path], images: int, seed: int) -> QatInputs:
    folder = _imagenet_folder(data)
    files, classes = _class_folders(folder / "train")
    if len(classes) != _classes_of(network):
        raise DataError(
            f"{folder / 'train'} has {len(classes)} class folders, but {network.name} tells "
            f"{_classes_of(network)} classes apart"
        )
    side = network.input_shape[1]
    prepare = Augmentation("imagenet-test", side)
    source = FileImages(files)
    test: LabelledImages | None = None
    validation = folder / "val"
    if validation.is_dir() and any(path.is_dir() for path in validation.iterdir()):
        test_files, test_classes = _class_folders(validation)
        if test_classes != classes:
            raise DataError(f"{validation} has other class folders than {folder / 'train'}")
        test = PreparedImages(FileImages(test_files), prepare)
    elif validation.is_dir():
        listed = load_images("imagenet", [validation])
        if listed is not None:
            test = PreparedImages(TensorImages(listed.images, listed.labels))
    chosen = drawn(len(files), images, seed)[0].tolist()
    calibration = torch.stack([prepare(source.fetch(index)[0]) for index in chosen])
    return QatInputs(network, Samples(source, Augmentation("imagenet", side)), calibration, test)


def _imagenet_folder(data: Sequence[Path]) -> Path:
    if len(data) > 1:
        raise DataError(
            "training on ImageNet takes one folder, that holds train and val, not "
            + ", ".join(map(str, data))
        )
    if data:
        return data[0]
    default = os.environ.get(DATA_VARIABLE)
    if not default:
        raise DataError(
            f"no ImageNet: give the folder that holds train and val, or set {DATA_VARIABLE}"
        )
    return Path(default) / "imagenet"


def _class_folders(folder: Path) -> tuple[list[tuple[str, int]], list[str]]:
    """Return the image files of class folders with their labels, and the names of the classes."""
    if not folder.is_dir():
        raise DataError(
            f"no folder {folder}: give the one that holds train and val, with a folder per class"
        )
    try:
        found = import_torchvision("datasets").ImageFolder(folder)
    except (FileNotFoundError, OSError) as error:
        raise DataError(f"{folder} holds no folders of images, one per class: {error}") from error
    return list(found.samples), list(found.classes)


def _classes_of(network: Network) -> int:
    with undisturbed(), torch.no_grad():
        example = torch.zeros(1, *network.input_shape)
        return int(PrivateNetwork(network.model).run(example).shape[-1])


def _check_labels(network: Network, labels: Tensor, where: str) -> None:
    classes = _classes_of(network)
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(
            f"{where}: labels must be 0 to {classes - 1}, the classes of {network.name}, not "
            f"{int(labels.min())} to {int(labels.max())}"
        )
