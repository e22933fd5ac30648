"""Large depthwise kernels, group norm and GELU, in the manner of ConvNeXt."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES


class ModernBlock(nn.Module):
    """A depthwise convolution, group norm and two pointwise ones with a GELU, on a shortcut.

    Args:
        channels: channels of input and output.
        kernel: side of the depthwise kernel.
        expansion: how many times more channels lie between the pointwise convolutions.
    """

    def __init__(self, channels: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.expand = nn.Conv2d(channels, expansion * channels, 1)
        self.project = nn.Conv2d(expansion * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        changed: Tensor = self.project(F.gelu(self.expand(self.norm(self.depthwise(x)))))
        return x + changed


class ModernNetwork(nn.Module):
    """A network of such blocks, two at each resolution.

    Resolutions fall by convolutions that do not overlap.

    Source: Liu et al., A ConvNet for the 2020s, 2022; group norm in place of layer norm.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        patch: side of the patches that the first convolution takes.
        kernel: side of the depthwise kernels.
    """

    def __init__(
        self, channels_in: int, widths: Sequence[int], *, patch: int = 1, kernel: int = 5
    ) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        if patch == 1:
            modules.append(nn.Conv2d(channels_in, widths[0], 3, padding=1))
        else:
            modules.append(nn.Conv2d(channels_in, widths[0], patch, patch))
        channels = widths[0]
        for stage, width in enumerate(widths):
            if stage:
                modules += [nn.GroupNorm(1, channels), nn.Conv2d(channels, width, 2, 2)]
                channels = width
            modules += [ModernBlock(channels, kernel, expansion=3) for _ in range(2)]
        self.features = nn.Sequential(*modules)
        self.norm = nn.LayerNorm(channels)
        self.linear = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to logits (n, classes)."""
        logits: Tensor = self.linear(self.norm(self.features(x).mean((2, 3))))
        return logits
