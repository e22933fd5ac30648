"""Grouped convolutions with group norm and SiLU, in the manner of ResNeXt."""

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize, stages


class GroupedBlock(nn.Module):
    """A pointwise, a grouped 3x3 and a pointwise convolution around a shortcut.

    Each is followed by a group norm.

    Args:
        channels_in: channels of the input.
        channels: of the output, and between the convolutions.
        stride: of the grouped convolution.
        groups: of the grouped convolution and of the norms.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.norm1 = nn.GroupNorm(groups, channels)
        self.middle = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=groups, bias=False)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.widen = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm3 = nn.GroupNorm(groups, channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != channels_in:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                nn.GroupNorm(groups, channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h', w')."""
        inner = F.silu(self.norm1(self.narrow(x)))
        inner = F.silu(self.norm2(self.middle(inner)))
        return F.silu(self.norm3(self.widen(inner)) + self.shortcut(x))


class GroupedNetwork(Pooled):
    """A convolution, and two such blocks at each resolution.

    Sources: Xie et al., Aggregated residual transformations for deep neural networks, 2017; Wu
    and He, Group normalization, 2018.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution, multiples of the groups.
        groups: of convolutions and norms.
        stride: of the first convolution.
    """

    def __init__(
        self, channels_in: int, widths: Sequence[int], *, groups: int = 4, stride: int = 1
    ) -> None:
        super().__init__()
        block = partial(GroupedBlock, groups=groups)
        self.features = nn.Sequential(
            nn.Conv2d(channels_in, widths[0], 3, stride, padding=1, bias=False),
            nn.GroupNorm(groups, widths[0]),
            nn.SiLU(),
            *(block(*sizes) for sizes in stages(widths[0], widths)),
        )
        self.linear = nn.Linear(widths[-1], CLASSES)
        initialize(self, mode="fan_out")
