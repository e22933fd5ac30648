"""Residual blocks without any norm, each weighed by a number that training raises from zero."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize, stages


class UnnormedBlock(nn.Module):
    """Two convolutions with bias, times a number, around a shortcut.

    Args:
        channels_in: channels of the input.
        channels: of the output.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.weight = nn.Parameter(torch.zeros(()))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != channels_in:
            self.shortcut = nn.Conv2d(channels_in, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h', w')."""
        inner = self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.1)), 0.1))
        added: Tensor = self.shortcut(x) + self.weight * inner
        return added


class UnnormedNetwork(Pooled):
    """A convolution, and two such blocks at each resolution.

    Source: De and Smith, Batch normalization biases residual blocks towards the identity
    function in deep networks, 2020 (SkipInit).

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels_in, widths[0], 3, stride, padding=1),
            *(UnnormedBlock(*sizes) for sizes in stages(widths[0], widths)),
            nn.LeakyReLU(0.1),
        )
        self.linear = nn.Linear(widths[-1], CLASSES)
        initialize(self)
