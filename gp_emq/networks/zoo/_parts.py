"""What the networks of the zoo share: stages, projected shortcuts, initial weights, the head."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10
"""Of either data set."""


class Pooled(nn.Module):
    """A network whose logits are linear in the mean of its features over all positions."""

    features: nn.Sequential
    linear: nn.Linear

    def maps(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to maps (n, channels, h', w')."""
        maps: Tensor = self.features(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to logits (n, classes)."""
        logits: Tensor = self.linear(self.maps(x).mean((2, 3)))
        return logits


class ResidualNetwork(Pooled):
    """A convolution, and blocks around shortcuts.

    Args:
        channels_in: channels of the images.
        channels: of the first convolution's output.
        widths: channels of the blocks' output at each resolution.
        block: makes one of the channels of its input and its output, and its stride.
        stride: of the first convolution.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        widths: Sequence[int],
        block: Callable[[int, int, int], nn.Module],
        stride: int,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(*(block(*sizes) for sizes in stages(channels, widths)))
        self.linear = nn.Linear(widths[-1], CLASSES)
        initialize(self, mode="fan_out")

    def maps(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to maps (n, channels, h', w')."""
        maps: Tensor = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return maps


def stages(channels: int, widths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Give input channels, output channels and stride of two blocks at each resolution.

    Args:
        channels: that the first block takes.
        widths: channels at each resolution, each after the first half of the one before.
    """
    for stage, width in enumerate(widths):
        yield channels, width, 2 if stage else 1
        yield width, width, 1
        channels = width


def projection(channels_in: int, channels: int, stride: int) -> nn.Module:
    """Make a shortcut: a pointwise convolution where channels or resolution change."""
    if stride == 1 and channels == channels_in:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )


def initialize(network: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """Draw the weights of convolutions as fits the ReLU; biases are zero.

    Source: He et al., Delving deep into rectifiers, 2015.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
