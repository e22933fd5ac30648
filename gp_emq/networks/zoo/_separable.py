"""Depthwise separable convolutions, in the manner of MobileNet."""

from collections.abc import Sequence

from torch import nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, stages


class SeparableNetwork(Pooled):
    """Blocks of a depthwise and a pointwise convolution, each with batch norm and ReLU.

    Source: Howard et al., MobileNets: Efficient convolutional neural networks for mobile vision
    applications, 2017.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        modules = _convolution(channels_in, widths[0], 3, stride)
        for before, after, step in stages(widths[0], widths):
            modules += _convolution(before, before, 3, step, groups=before)
            modules += _convolution(before, after, 1, 1)
        self.features = nn.Sequential(*modules)
        self.linear = nn.Linear(widths[-1], CLASSES)


def _convolution(
    channels_in: int, channels: int, kernel: int, stride: int, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        channels_in, channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
