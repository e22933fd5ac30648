"""Residual convolutions, and self-attention over the positions of the last resolution."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize
from gp_emq.networks.zoo._tokens import attend


class ConvolvedBlock(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution, twice, on a shortcut.

    Args:
        channels: channels of the input and the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        changed: Tensor = self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))
        return x + changed


class AttentiveBlock(nn.Module):
    """Self-attention over all positions, and a perceptron of pointwise convolutions.

    Each follows a norm, on a shortcut.

    Args:
        channels: channels of the input and the output.
        heads: of the attention.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.BatchNorm2d(channels)
        self.query, self.key, self.value, self.project = (
            nn.Linear(channels, channels) for _ in range(4)
        )
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        normed = self.norm1(x.flatten(2).transpose(1, 2))
        attended = attend(self.query(normed), self.key(normed), self.value(normed), self.heads)
        x = x + self.project(attended).transpose(1, 2).reshape(x.shape)
        changed: Tensor = self.narrow(F.relu(self.widen(self.norm2(x))))
        return x + changed


class AttentiveNetwork(Pooled):
    """Two blocks of convolutions, and two with attention at half the resolution.

    Source: Dai et al., CoAtNet: Marrying convolution and attention for all data sizes, 2021.

    Args:
        channels_in: channels of the images.
        widths: channels at the two resolutions, the second a multiple of 4.
    """

    def __init__(self, channels_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        first, second = widths
        self.features = nn.Sequential(
            nn.Conv2d(channels_in, first, 3, padding=1),
            ConvolvedBlock(first),
            ConvolvedBlock(first),
            nn.Conv2d(first, second, 3, 2, padding=1),
            AttentiveBlock(second),
            AttentiveBlock(second),
            nn.BatchNorm2d(second),
        )
        self.linear = nn.Linear(second, CLASSES)
        initialize(self)
