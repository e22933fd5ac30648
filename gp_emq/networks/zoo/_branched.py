"""Branches of different kernels side by side, whose outputs are stacked."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize


def _convolution(channels_in: int, channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class BranchedBlock(nn.Module):
    """A pointwise convolution, one of 3x3, two of 3x3 in a row, and one behind mean pooling.

    Args:
        channels_in: channels of the input.
        channels: of each of the four branches.
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            (
                _convolution(channels_in, channels, 1),
                nn.Sequential(
                    _convolution(channels_in, channels, 1), _convolution(channels, channels, 3)
                ),
                nn.Sequential(
                    _convolution(channels_in, channels, 1),
                    _convolution(channels, channels, 3),
                    _convolution(channels, channels, 3),
                ),
                nn.Sequential(nn.AvgPool2d(3, 1, 1), _convolution(channels_in, channels, 1)),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, 4 channels, h, w)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class BranchedNetwork(Pooled):
    """A convolution and one such block at each resolution, with max-pooling between.

    Sources: Szegedy et al., Going deeper with convolutions, 2015, and Rethinking the inception
    architecture for computer vision, 2016.

    Args:
        channels_in: channels of the images.
        widths: channels of each branch at each resolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        modules: list[nn.Module] = [_convolution(channels_in, 2 * widths[0], 3)]
        channels = 2 * widths[0]
        for stage, width in enumerate(widths):
            if stage:
                modules.append(nn.MaxPool2d(2))
            modules.append(BranchedBlock(channels, width))
            channels = 4 * width
        self.features = nn.Sequential(*modules)
        self.linear = nn.Linear(channels, CLASSES)
        initialize(self, mode="fan_out")
