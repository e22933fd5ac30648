"""Inverted residuals with linear bottlenecks, in the manner of MobileNetV2."""

from collections.abc import Sequence

from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize, stages


def _convolution(
    channels_in: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(
            channels_in, channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
    ]


class InvertedBlock(nn.Module):
    """A pointwise convolution that widens, a depthwise one, and one that narrows linearly.

    The shortcut joins the narrow ends, where their shapes agree.

    Source: Sandler et al., MobileNetV2: Inverted residuals and linear bottlenecks, 2018.

    Args:
        channels_in: channels of the input.
        channels: of the output.
        stride: of the depthwise convolution.
        expansion: how many times more channels lie between.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        inner = expansion * channels_in
        self.joined = stride == 1 and channels_in == channels
        self.branch = nn.Sequential(
            *_convolution(channels_in, inner),
            *_convolution(inner, inner, 3, stride, groups=inner),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels, h / stride, w / stride)."""
        changed: Tensor = self.branch(x)
        return x + changed if self.joined else changed


class InvertedNetwork(Pooled):
    """A convolution, two such blocks at each resolution, and a last pointwise convolution.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int]) -> None:
        super().__init__()
        modules = _convolution(channels_in, widths[0], 3)
        modules += [InvertedBlock(*sizes) for sizes in stages(widths[0], widths)]
        modules += _convolution(widths[-1], 3 * widths[-1])
        self.features = nn.Sequential(*modules)
        self.linear = nn.Linear(3 * widths[-1], CLASSES)
        initialize(self, mode="fan_out")
