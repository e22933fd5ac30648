"""Depthwise separable convolutions, in the manner of MobileNet."""

from collections.abc import Sequence

from torch import Tensor, nn


class SeparableNetwork(nn.Module):
    """Blocks of a depthwise and a pointwise convolution, each with batch norm and ReLU.

    Source: Howard et al., MobileNets: Efficient convolutional neural networks for mobile vision
    applications, 2017.

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
        modules = _convolution(channels_in, widths[0], 3, stride)
        channels = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                step = 2 if stage and not block else 1
                modules += _convolution(channels, channels, 3, step, groups=channels)
                modules += _convolution(channels, width, 1, 1)
                channels = width
        self.features = nn.Sequential(*modules)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to logits (n, classes)."""
        logits: Tensor = self.linear(self.features(x).mean((2, 3)))
        return logits


def _convolution(
    channels_in: int, channels: int, kernel: int, stride: int, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        channels_in, channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
