"""Networks of torchvision for other tasks, with random weights: outputs beside the float ones.

They show that such networks go through, and how far their plans keep outputs; how good a trained
network stays they do not show.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.real_models.model import RealModel, beside_float
from benchmarks.real_models.pictures import cuts
from gp_emq.networks import Workload, import_torchvision

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels of each channel of ImageNet, by which torchvision's networks take pictures."""
SIDE = 64
CALIBRATION, HELD_BACK, TESTS = 16, 32, 64


def pictures() -> Tensor:
    """Give photographs as torchvision's networks take them, (n, 3, 64, 64)."""
    mean, deviation = (torch.tensor(row)[:, None, None] for row in (MEAN, DEVIATION))
    return (cuts(CALIBRATION + HELD_BACK + TESTS, SIDE) - mean) / deviation


def settle(model: nn.Module, images: Tensor) -> nn.Module:
    """Give random weights outputs that tell pictures apart: batch norms see some of them."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean of all that is seen
    model.train()
    with torch.no_grad():
        model(images)
    return model.eval()


def segmentation() -> Any:
    """LR-ASPP on MobileNetV3, from pictures to a map of 21 classes."""
    made = import_torchvision("models.segmentation")
    return made.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)


def detection() -> Any:
    """The backbone of SSDlite on MobileNetV3, from pictures to six maps of features."""
    made = import_torchvision("models.detection")
    return made.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).backbone


def transformer() -> Any:
    """ViT-B/16 on small pictures; its last layer, which starts at zero, is drawn as well."""
    model = import_torchvision("models").vit_b_16(weights=None, image_size=SIDE)
    nn.init.normal_(model.heads.head.weight, std=0.02)
    return model


def workload(make: Callable[[], Any]) -> Workload:
    """Draw weights, and give the network on photographs."""
    images = pictures()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = settle(make(), images[:CALIBRATION])
    return beside_float(model, images)


MODELS = (
    RealModel(
        "lraspp-mobilenet-v3", "maps of classes; torchvision, random weights",
        partial(workload, segmentation), CALIBRATION, HELD_BACK, "rtn+bn-correction",
    ),
    RealModel(
        "ssdlite-backbone", "six maps of features; torchvision, random weights",
        partial(workload, detection), CALIBRATION, HELD_BACK, "rtn+bn-correction",
    ),
    RealModel(
        "vit-b-16", "logits, by attention; torchvision, random weights, small pictures",
        partial(workload, transformer), CALIBRATION, HELD_BACK,
    ),
)  # fmt: skip
