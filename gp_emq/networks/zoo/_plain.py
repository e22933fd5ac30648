"""A plain stack of convolutions without batch norm, in the manner of VGG."""

from collections.abc import Sequence

from torch import nn

from gp_emq.networks.zoo._parts import CLASSES, Pooled, initialize


class PlainNetwork(Pooled):
    """Convolutions with bias and ReLU, two at each resolution, max-pooling between them.

    Source: Simonyan and Zisserman, Very deep convolutional networks for large-scale image
    recognition, 2015; narrow, and with a global mean in place of the wide linear layers.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        modules: list[nn.Module] = [
            nn.Conv2d(channels_in, widths[0], 3, stride, padding=1),
            nn.ReLU(),
        ]
        channels = widths[0]
        for stage, width in enumerate(widths):
            if stage:
                modules.append(nn.MaxPool2d(2))
            for _ in range(2):
                modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*modules)
        self.linear = nn.Linear(channels, CLASSES)
        initialize(self)
