"""Residual bottlenecks with projected shortcuts."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import ResidualNetwork, projection


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
        self.shortcut = projection(channels_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


class BottleneckNetwork(ResidualNetwork):
    """A residual network of bottlenecks, whose output has four times as many channels as they.

    Source: He et al., Deep residual learning for image recognition, 2016.

    Args:
        channels_in: channels of the images.
        widths: inner channels at each resolution.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], stride: int = 1) -> None:
        outer = [4 * width for width in widths]
        super().__init__(channels_in, 2 * widths[0], outer, _bottleneck, stride)


def _bottleneck(channels_in: int, channels: int, stride: int) -> Bottleneck:
    return Bottleneck(channels_in, channels // 4, channels, stride)
