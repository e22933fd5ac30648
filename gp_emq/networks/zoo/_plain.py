"""A plain stack of convolutions without batch norm, in the manner of VGG."""

from collections.abc import Sequence

from torch import Tensor, nn


class PlainNetwork(nn.Module):
    """Convolutions with bias and ReLU, two at each resolution, max-pooling between them.

    Source: Simonyan and Zisserman, Very deep convolutional networks for large-scale image
    recognition, 2015; narrow, and with a global mean in place of the wide linear layers.

    Args:
        channels_in: channels of the images.
        widths: channels at each resolution.
        stride: of the first convolution.
        classes: number of classes.
    """

    def __init__(
        self, channels_in: int, widths: Sequence[int], stride: int = 1, classes: int = 10
    ) -> None:
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
        self.linear = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None  # noqa: S101 - as they are made above
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, h, w) to logits (n, classes)."""
        logits: Tensor = self.linear(self.features(x).mean((2, 3)))
        return logits
