"""Densely connected convolutions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize


class DenseLayer(nn.Module):
    """Batch norm, ReLU and a convolution whose output is appended to its input.

    Args:
        channels: channels of the input.
        growth: channels that it appends.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to (n, channels + growth, h, w)."""
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], dim=1)


class Transition(nn.Module):
    """Batch norm, ReLU, a pointwise convolution to half the channels, and mean pooling.

    Args:
        channels: channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to (n, channels / 2, h / 2, w / 2)."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNetwork(Pooled):
    """Blocks in which every layer is fed the outputs of all layers before it.

    Source: Huang et al., Densely connected convolutional networks, 2017.

    Args:
        channels_in: channels of the images.
        growth: channels that each layer adds.
        layers: layers of each block.
        stride: of the first convolution.
    """

    def __init__(
        self, channels_in: int, growth: int, layers: Sequence[int], stride: int = 1
    ) -> None:
        super().__init__()
        channels = 2 * growth
        self.stem = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        modules: list[nn.Module] = []
        for block, count in enumerate(layers):
            if block:
                modules.append(Transition(channels))
                channels //= 2
            for _ in range(count):
                modules.append(DenseLayer(channels, growth))
                channels += growth
        self.blocks = nn.Sequential(*modules)
        self.norm = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, CLASSES)
        initialize(self)

    def maps(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to maps (n, channels, h', w')."""
        return F.relu(self.norm(self.blocks(self.stem(x))))
