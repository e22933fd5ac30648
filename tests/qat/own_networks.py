"""Networks of one's own, as ``--network own_networks:NAME`` finds them."""

from torch import nn


def without_batch_norm() -> tuple[nn.Module, tuple[int, int, int]]:
    """A network whose gradients are means over images: how they are shared out changes nothing."""
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(128, 10),
    )  # fmt: skip
    return model, (1, 8, 8)


def of_files() -> tuple[nn.Module, tuple[int, int, int]]:
    """A network of two classes, for images of 48 pixels in folders."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    return model, (3, 48, 48)


def of_pixels() -> tuple[nn.Module, tuple[int, int, int]]:
    """A network for images as CIFAR-10 has them."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 10),
    )  # fmt: skip
    return model, (3, 32, 32)
