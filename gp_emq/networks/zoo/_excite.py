"""Residual blocks whose channels are weighted by squeeze and excitation."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import ResidualNetwork, projection


class ExcitedBlock(nn.Module):
    """Two 3x3 convolutions, a gate for each channel, and a shortcut.

    Args:
        channels_in: channels of the input.
        channels: channels of the output.
        stride: of the first convolution.
        reduction: how many times fewer units the gate's hidden layer has than channels.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, reduction: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.squeeze = nn.Linear(channels, max(4, channels // reduction))
        self.excite = nn.Linear(max(4, channels // reduction), channels)
        self.shortcut = projection(channels_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        gate = self.excite(F.relu(self.squeeze(out.mean((2, 3))))).sigmoid()
        return F.relu(out * gate[:, :, None, None] + self.shortcut(x))


class ExcitedNetwork(ResidualNetwork):
    """A residual network with squeeze and excitation.

    Source: Hu et al., Squeeze-and-excitation networks, 2018.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], stride: int = 1) -> None:
        super().__init__(channels_in, widths[0], widths, ExcitedBlock, stride)
