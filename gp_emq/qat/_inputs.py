"""What the command trains: a network, its training images, and what it is evaluated on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.networks import (
    DATA_VARIABLE,
    Augmentation,
    Inputs,
    Network,
    PrivateNetwork,
    Workload,
    drawn,
    fitting_arrays,
    import_torchvision,
    load_images,
    load_inputs,
    load_workload,
    undisturbed,
)
from gp_emq.qat._evaluation import LabelledImages
from gp_emq.qat._samples import (
    FileImages,
    PreparedImages,
    Samples,
    TensorImages,
    WorkloadSamples,
)


@dataclass(frozen=True)
class QatInputs:
    """A network with its images.

    Attributes:
        network: The float network.
        samples: The training images.
        calibration: Images that the grids start from, float32 (n, C, H, W), or a workload.
        test: What to evaluate on; None where there is nothing.
    """

    network: Network
    samples: Samples | WorkloadSamples
    calibration: Tensor | Workload
    test: LabelledImages | Workload | None


def load_qat_inputs(
    network: str | None,
    weights: Path | None = None,
    data: Sequence[Path] = (),
    test_data: Path | None = None,
    *,
    images: int = 512,
    seed: int = 0,
    workload: str | None = None,
    test_workload: str | None = None,
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
        workload: Instead of a network and data, `package.module:function` that returns a workload,
            all of whose samples are trained on.
        test_workload: Likewise, one to evaluate on; its model does not count.

    Raises:
        GpEmqError: Network, weights or images are unknown, missing or do not fit.
    """
    inputs = load_inputs(network, weights, data, workload=workload)
    if workload is not None and inputs.own is not None:
        test = None if test_workload is None else load_workload(test_workload)
        if test is not None and test.diverges:
            test = test.of(inputs.network.model)
        own = inputs.own.checked(inputs.network.name).answered()
        calibration = inputs.calibration(images, seed)
        return QatInputs(inputs.network, WorkloadSamples(own), calibration, test)
    if inputs.own is not None:
        found = QatInputs(
            inputs.network, _training(inputs.own.answered().checked(inputs.network.name)),
            inputs.calibration(images, seed).samples, None,
        )  # fmt: skip
    elif inputs.data_set == "imagenet":
        found = _imagenet(inputs.network, data, images, seed)
    else:
        found = _in_memory(inputs, images, seed)
    return found if test_data is None else replace(found, test=_own_test(inputs.network, test_data))


def _in_memory(inputs: Inputs, images: int, seed: int) -> QatInputs:
    network, data_set = inputs.network, inputs.data_set
    training, test = (load_images(data_set, inputs.paths, part=of) for of in ("training", "test"))
    if training is None:
        raise DataError(f"{data_set} data without training images: there is nothing to train on")
    labelled = Workload(network.model, training.images, training.labels).checked(network.name)
    return QatInputs(
        network,
        _training(labelled, Augmentation(data_set, network.input_shape[1])),
        inputs.calibration(images, seed).samples,
        None if test is None else PreparedImages(TensorImages(test.images, test.labels)),
    )


def _training(labelled: Workload, augment: Augmentation | None = None) -> Samples:
    assert labelled.targets is not None  # noqa: S101 - narrows; the caller answered
    return Samples(TensorImages(labelled.samples, labelled.targets), augment)


def _own_test(network: Network, path: Path) -> LabelledImages:
    images, labels = fitting_arrays(network, path) or (None, None)
    if images is None or labels is None:
        raise DataError(f"{path}: test images need x float32 (n, C, H, W) and labels y")
    Workload(network.model, images, labels).checked(network.name)
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
