"""Residual blocks whose channels are weighted by squeeze and excitation."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


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
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != channels_in:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        gate = self.excite(F.relu(self.squeeze(out.mean((2, 3))))).sigmoid()
        return F.relu(out * gate[:, :, None, None] + self.shortcut(x))


class ExcitedNetwork(nn.Module):
    """A residual network with squeeze and excitation.

    Source: Hu et al., Squeeze-and-excitation networks, 2018.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        blocks: blocks at each resolution.
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
        channels = widths[0]
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        modules: list[nn.Module] = []
        for stage, width in enumerate(widths):
            for block in range(blocks):
                modules.append(ExcitedBlock(channels, width, 2 if stage and not block else 1))
                channels = width
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
