"""Blocks that mix positions by pooling alone, in the manner of PoolFormer."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize


class PoolingBlock(nn.Module):
    """What the mean of the neighbours differs by, and a perceptron, each after a group norm.

    Both lie on a shortcut.

    Source: Yu et al., MetaFormer is actually what you need for vision, 2022.

    Args:
        channels: channels of the input and the output.
        expansion: how many times more channels lie between.
    """

    def __init__(self, channels: int, expansion: int = 3) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)
        self.widen = nn.Conv2d(channels, expansion * channels, 1)
        self.narrow = nn.Conv2d(expansion * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        normed = self.norm1(x)
        x = x + F.avg_pool2d(normed, 3, 1, 1, count_include_pad=False) - normed
        changed: Tensor = self.narrow(F.gelu(self.widen(self.norm2(x))))
        return x + changed


class PoolingNetwork(Pooled):
    """A convolution into each resolution, and two such blocks at each.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for stage, width in enumerate(widths):
            modules.append(nn.Conv2d(channels_in, width, 3, 2 if stage else 1, padding=1))
            modules += [PoolingBlock(width), PoolingBlock(width)]
            channels_in = width
        self.features = nn.Sequential(*modules, nn.GroupNorm(1, channels_in))
        self.linear = nn.Linear(channels_in, CLASSES)
        initialize(self)
