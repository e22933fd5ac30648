"""Faces in pictures: the three networks of MTCNN, each with several heads.

Zhang, Zhang, Li and Qiao, Joint face detection and alignment using multitask cascaded
convolutional networks, 2016; code and weights of `facenet-pytorch`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.real_models.model import SHARE, RealModel, beside_float, package
from benchmarks.real_models.pictures import cuts
from gp_emq.networks import Metric, Workload, import_torchvision

INSTALL = "--no-deps facenet-pytorch==2.6.0"
FACES = 100
"""How many of the first pictures of scikit-image's part of Labeled Faces in the Wild are faces."""
CUTS, CUT_SIDE = 196, 60


def is_right(outputs: Any, labels: Tensor) -> Tensor:
    """Say whether the network tells a face from what is none, bool (n,)."""
    return probabilities(outputs).argmax(dim=1) == labels


def entropy(outputs: Any, labels: Tensor) -> Tensor:
    """Give the cross-entropy of that, (n,)."""
    return functional.nll_loss(probabilities(outputs).log(), labels, reduction="none")


def probabilities(outputs: Any) -> Tensor:
    """Give those of no face and of a face, (n, 2): the last of the heads."""
    found: Tensor = outputs[-1]
    return found.flatten(1)


def pictures(side: int) -> tuple[Tensor, Tensor]:
    """Give faces and what is none, in turn, from small grey pictures.

    Returns:
        Normalized as MTCNN takes them, (200, 3, side, side), and 1 for a face, int64 (200,).
    """
    small = package("skimage.data", "'gp_emq[models]'").lfw_subset()
    order = torch.arange(2 * FACES).reshape(2, FACES).T.flatten()
    images = torch.from_numpy(small).float()[order, None]
    sized = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    normalized = (sized * 255 - 127.5) / 128
    return normalized.expand(-1, 3, -1, -1).contiguous(), (order < FACES).long()


def network(name: str) -> torch.nn.Module:
    """Load one of the three networks."""
    import_torchvision()
    made: torch.nn.Module = getattr(package("facenet_pytorch.models.mtcnn", INSTALL), name)()
    return made.eval()


def of_faces() -> Workload:
    """Give the second network on pictures of its own size, with whether it tells faces."""
    metric = Metric("faces told", is_right)
    return Workload(network("RNet"), pictures(24), loss=entropy, metric=metric)


def of_maps() -> Workload:
    """Give the first network, which has no linear layer, on larger pictures: heads are maps."""
    return beside_float(network("PNet"), (cuts(CUTS, CUT_SIDE) * 255 - 127.5) / 128)


def of_heads() -> Workload:
    """Give the third network on pictures of its own size: boxes, five points and a probability."""
    return beside_float(network("ONet"), pictures(48)[0])


MODELS = (
    RealModel("mtcnn-pnet", "maps of faces and boxes in photographs, MTCNN's first", of_maps),
    RealModel(
        "mtcnn-rnet",
        "whether a picture is a face, and boxes, MTCNN's second",
        of_faces,
        form=SHARE,
    ),
    RealModel("mtcnn-onet", "faces, boxes and five points of a face, MTCNN's third", of_heads),
)
