"""ImageNet validation images from class folders, or from a folder and a list of labels."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.files import read_image, read_rows, shortened
from gp_emq.networks._cifar import DEVIATION, MEAN
from gp_emq.networks._torchvision import import_torchvision

CROP = 224
RESIZE = 256
CLASSES = 1000
_LABEL = re.compile("[0-9]{1,9}")
_SUFFIXES = {".jpeg", ".jpg", ".png"}


def read_imagenet(
    paths: Sequence[Path], *, part: str, resized: bool = False
) -> tuple[Tensor, Tensor] | None:
    """Read images that are all taken as test images.

    Every image goes through `preparation`. With `resized` all were resized before: they keep
    their pixels, of which the centre 224x224 is taken.

    Args:
        paths: a folder of class folders (labels are their places in sorted order); or a
            folder of images and a `.csv` of `file,label`, which may also lie in the folder
            or beside it.
        part: `"test"`; there is no training part.
        resized: whether the images were resized before; each side has at least 224 pixels.

    Returns:
        Images float32 (n, 3, 224, 224), normalized, in the order of their file names, and
        labels int64 (n,); `None` for the training part.

    Raises:
        DataError: if there are no images, or an image or the list does not read.
    """
    if part != "test":
        return None
    folders = [path for path in paths if path.is_dir()]
    lists = [path for path in paths if path.suffix == ".csv"]
    if len(folders) != 1 or len(folders) + len(lists) != len(paths) or len(lists) > 1:
        raise DataError(
            "images are one .npz of x and, if there are labels, y; or, of ImageNet, one folder of "
            "images and at most one .csv of file,label; not " + ", ".join(map(str, paths))
        )
    files = _labelled_files(folders[0], lists[0] if lists else _find_list(folders[0]))
    images = torch.empty(len(files), 3, CROP, CROP)
    prepare = _centre if resized else preparation(CROP)
    for index, (file, _) in enumerate(files):
        images[index] = prepare(read_image(file))
    return images, torch.tensor([label for _, label in files])


def _find_list(folder: Path) -> Path | None:
    found = sorted([*folder.glob("*.csv"), *folder.parent.glob(f"{folder.name}*.csv")])
    return found[0] if found else None


def _labelled_files(folder: Path, labels: Path | None) -> list[tuple[Path, int]]:
    if labels is not None:
        return _from_list(folder, labels)
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [
        (file, label)
        for label, class_folder in enumerate(classes)
        for file in sorted(class_folder.iterdir())
        if file.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise DataError(f"{folder} holds no class folders of images, and no .csv of file,label")
    if len(classes) != CLASSES:
        raise DataError(
            f"{folder} has {len(classes)} class folders: labels by their order need all {CLASSES}; "
            "give a .csv of file,label"
        )
    return files


def _from_list(folder: Path, labels: Path) -> list[tuple[Path, int]]:
    if (folder / "val").is_dir():
        folder = folder / "val"
    files = []
    rows = [row for row in read_rows(labels, DataError, "the list of file,label") if row]
    for number, row in enumerate(rows, 1):
        if number == 1 and len(row) == 2 and not row[1].strip().isdigit():
            continue
        label = row[1].strip() if len(row) == 2 else ""
        if not _LABEL.fullmatch(label) or int(label) >= CLASSES:
            raise DataError(
                f"{labels}, line {number}: {shortened(','.join(row))} is not file,label with a "
                f"label below {CLASSES}"
            )
        path = folder / row[0].strip()
        if not _is_file(path):
            raise DataError(
                f"{labels}, line {number}: no image {shortened(row[0].strip())} in {folder}"
            )
        files.append((path, int(label)))
    if not files:
        raise DataError(f"{labels} lists no images")
    return sorted(files)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL in it
        return False


@cache
def preparation(side: int) -> Callable[[Image.Image], Tensor]:
    """Return what makes of an image what networks trained on ImageNet take.

    As torchvision's `ImageClassification` does it, with which the accuracies of its networks were
    measured: the shorter side becomes 256 (in proportion for other sides than 224), whatever it
    was, the centre is cut out, and pixels are normalized. Resizing is Pillow's, bilinear over all
    pixels that are merged into one (antialiased) and rounded to 8 bits, since that is what the
    networks saw in training; torch's of tensors differs by one step of 255 in places.

    Args:
        side: pixels of the square that comes out.

    Returns:
        Of an image float32 (3, side, side).
    """
    v2 = import_torchvision("transforms.v2")
    made: Callable[[Image.Image], Tensor] = v2.Compose(
        [
            v2.Resize(round(side * RESIZE / CROP), antialias=True),
            v2.CenterCrop(side),
            v2.ToImage(),
            *normalization(v2),
            v2.ToPureTensor(),
        ]
    )
    return made


def normalization(v2: ModuleType) -> list[Any]:
    """Return the transforms of uint8 pixels to what a network takes, of torchvision's module."""
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)]


def _centre(image: Image.Image) -> Tensor:
    if min(image.size) < CROP:
        raise DataError(
            f"an image of {image.width}x{image.height} pixels was not resized for {CROP}x{CROP}"
        )
    left, top = (image.width - CROP) // 2, (image.height - CROP) // 2
    pixels = torch.from_numpy(np.array(image.crop((left, top, left + CROP, top + CROP))))
    planes = pixels.permute(2, 0, 1).float().div_(255)
    return planes.sub_(torch.tensor(MEAN)[:, None, None]).div_(
        torch.tensor(DEVIATION)[:, None, None]
    )
