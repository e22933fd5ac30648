"""Residual blocks whose channels pass through more and more convolutions, part by part."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import ResidualNetwork, projection


class MultiscaleBlock(nn.Module):
    """Each part of the channels is convolved together with what the part before it gave.

    The first part passes as it is; a pointwise convolution before and one behind mix the parts.

    Source: Gao et al., Res2Net: A new multi-scale backbone architecture, 2019.

    Args:
        channels_in: channels of the input.
        channels: of the output, a multiple of the parts.
        stride: of the first convolution.
        parts: into how many the channels are split.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, parts: int) -> None:
        super().__init__()
        width = channels // parts
        self.conv1 = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(parts - 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(parts - 1))
        self.conv3 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.shortcut = projection(channels_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        first, *others = F.relu(self.bn1(self.conv1(x))).chunk(len(self.convs) + 1, dim=1)
        passed, before = [first], torch.zeros_like(first)
        for part, conv, norm in zip(others, self.convs, self.norms, strict=True):
            before = F.relu(norm(conv(part + before)))
            passed.append(before)
        mixed = self.bn3(self.conv3(torch.cat(passed, dim=1)))
        return F.relu(mixed + self.shortcut(x))


class MultiscaleNetwork(ResidualNetwork):
    """A convolution, and two such blocks at each resolution.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        parts: into how many the channels of a block are split.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], parts: int) -> None:
        super().__init__(
            channels_in, widths[0], widths, partial(MultiscaleBlock, parts=parts), stride=1
        )
