"""Down to a coarse resolution and up again, with the finer maps stacked on the way."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize


def _pair(channels_in: int, channels: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for before in (channels_in, channels):
        modules.append(nn.Conv2d(before, channels, 3, padding=1, bias=False))
        modules += [nn.BatchNorm2d(channels), nn.LeakyReLU(0.1)]
    return nn.Sequential(*modules)


class HourglassNetwork(Pooled):
    """Pairs of convolutions at each resolution on the way down and on the way up.

    Source: Ronneberger et al., U-Net: Convolutional networks for biomedical image segmentation,
    2015. Classes are read from the mean of the finest maps.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution, the finest first.
    """

    def __init__(self, channels_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        befores = (channels_in, *widths[:-1])
        self.down = nn.ModuleList(
            _pair(before, width) for before, width in zip(befores, widths, strict=True)
        )
        self.up = nn.ModuleList(
            _pair(coarse + fine, fine)
            for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.linear = nn.Linear(widths[0], CLASSES)
        initialize(self)

    def maps(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to maps (n, widths[0], h, w)."""
        passed: list[Tensor] = []
        for step, pair in enumerate(self.down):
            x = pair(F.max_pool2d(x, 2) if step else x)
            passed.append(x)
        for pair, finer in zip(self.up, passed[-2::-1], strict=True):
            x = pair(torch.cat([F.interpolate(x, scale_factor=2), finer], dim=1))
        return x
