"""Dilated convolutions with gates, whose blocks each add to the answer."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize


class DilatedBlock(nn.Module):
    """A dilated convolution gated by another, and a pointwise one to the shortcut and the answer.

    Args:
        channels: channels of the input, and of both outputs.
        dilation: distance between the pixels that the convolutions look at.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.signal, self.gate = (
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
            for _ in range(2)
        )
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.project = nn.Conv2d(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (n, channels, h, w) to what goes on and what is added to the answer."""
        gated = self.norm1(self.signal(x)).tanh() * self.norm2(self.gate(x)).sigmoid()
        changed, added = self.project(gated).chunk(2, dim=1)
        return x + changed, added


class DilatedNetwork(Pooled):
    """Such blocks at full resolution, and two pointwise convolutions of the sum of what they add.

    Source: van den Oord et al., WaveNet: A generative model for raw audio, 2016.

    Args:
        channels_in: channels of the images.
        channels: between blocks.
        dilations: of the blocks.
    """

    def __init__(self, channels_in: int, channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.blocks = nn.ModuleList(DilatedBlock(channels, dilation) for dilation in dilations)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * channels)
        self.linear = nn.Linear(2 * channels, CLASSES)
        initialize(self)

    def maps(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to maps (n, 2 channels, h, w)."""
        x = self.bn1(self.conv1(x))
        total = x.new_zeros(())
        for block in self.blocks:
            x, added = block(x)
            total = total + added
        return F.relu(self.bn2(self.conv2(F.relu(total))))
