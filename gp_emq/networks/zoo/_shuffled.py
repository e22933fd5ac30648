"""Half of the channels pass by, and all are shuffled, in the manner of ShuffleNetV2."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize


def _branch(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class ShuffledBlock(nn.Module):
    """A separable branch on half of the channels, beside the other half, then a shuffle.

    Where the resolution is halved, both branches take all channels and convolve.

    Source: Ma et al., ShuffleNet V2: Practical guidelines for efficient CNN architecture design,
    2018.

    Args:
        channels_in: channels of the input.
        channels: of the output, even.
        stride: 1 or 2.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        half = channels // 2
        self.halved = stride == 1
        self.beside: nn.Module = nn.Identity()
        if not self.halved:
            self.beside = nn.Sequential(
                nn.Conv2d(
                    channels_in, channels_in, 3, stride, padding=1, groups=channels_in, bias=False
                ),
                nn.BatchNorm2d(channels_in),
                nn.Conv2d(channels_in, half, 1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(),
            )
        self.branch = _branch(half if self.halved else channels_in, half, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        aside, through = x.chunk(2, dim=1) if self.halved else (x, x)
        return F.channel_shuffle(torch.cat([self.beside(aside), self.branch(through)], dim=1), 2)


class ShuffledNetwork(Pooled):
    """A convolution, and two such blocks at each resolution.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution, even.
    """

    def __init__(self, channels_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        modules: list[nn.Module] = [
            nn.Conv2d(channels_in, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        channels = widths[0]
        for stage, width in enumerate(widths):
            modules.append(ShuffledBlock(channels, width, 2 if stage else 1))
            modules.append(ShuffledBlock(width, width, 1))
            channels = width
        self.features = nn.Sequential(*modules)
        self.linear = nn.Linear(channels, CLASSES)
        initialize(self, mode="fan_out")
