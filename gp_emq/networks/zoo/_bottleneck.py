"""Residual bottlenecks with projected shortcuts."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """A pointwise, a 3x3 and a pointwise convolution around a shortcut.

    Args:
        channels_in: channels of the input.
        inner: channels of the 3x3 convolution.
        channels: channels of the output; where they are others than the input's, or the
            resolution falls, a pointwise convolution projects the shortcut.
        stride: of the 3x3 convolution.
    """

    def __init__(self, channels_in: int, inner: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != channels_in:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


class BottleneckNetwork(nn.Module):
    """A residual network of bottlenecks.

    Source: He et al., Deep residual learning for image recognition, 2016.

    Args:
        channels_in: channels of the images.
        widths: inner channels at each resolution; the output has four times as many.
        blocks: bottlenecks at each resolution.
        stride: of the first convolution.
        classes: number of classes.
    """

    def __init__(
        self,
        channels_in: int,
        widths: Sequence[int],
        blocks: int = 2,
        stride: int = 1,
        classes: int = 10,
    ) -> None:
        super().__init__()
        channels = 2 * widths[0]
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        modules: list[nn.Module] = []
        for stage, width in enumerate(widths):
            for block in range(blocks):
                step = 2 if stage and not block else 1
                modules.append(Bottleneck(channels, width, 4 * width, step))
                channels = 4 * width
        self.blocks = nn.Sequential(*modules)
        self.linear = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to logits (n, classes)."""
        out = self.blocks(F.relu(self.bn1(self.conv1(x))))
        logits: Tensor = self.linear(out.mean((2, 3)))
        return logits
