"""Gradients of single images from what went into a layer and what came out, for kinds of layers."""

import pytest
import torch
from torch import nn

from gp_emq.statistics._image_gradients import ImageGradients

LAYERS = {
    "kernel of one": nn.Conv2d(4, 6, 1),
    "kernel of one, with a stride": nn.Conv2d(4, 6, 1, stride=2),
    "kernel of one, padded": nn.Conv2d(4, 6, 1, padding=1),
    "kernel of one, in groups": nn.Conv2d(4, 6, 1, groups=2),
    "single channels": nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "single channels, with a stride": nn.Conv2d(4, 4, 3, stride=2, padding=(1, 0), groups=4),
    "single channels, twice as many out": nn.Conv2d(4, 8, 3, groups=4, dilation=2),
    "single channels, padded in a circle": nn.Conv2d(
        4, 4, 3, padding=1, groups=4, padding_mode="circular"
    ),
    "padded to the same size": nn.Conv2d(4, 6, (1, 3), padding="same"),
    "padded by reflection": nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "groups, dilated": nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2),
    "one channel": nn.Conv2d(1, 5, 3, padding=1),
    "product": nn.Linear(6, 5),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("calls", [1, 2])
def test_squares_are_those_of_autograds_gradients(kind: str, calls: int) -> None:
    layer = LAYERS[kind]
    stream = torch.Generator().manual_seed(calls)
    channels = layer.in_channels if isinstance(layer, nn.Conv2d) else 5
    values = [torch.randn(3, channels, 7, 6, generator=stream) for _ in range(calls)]
    found, expected = ImageGradients(), torch.zeros_like(layer.weight)
    along = [torch.randn(layer(value).shape, generator=stream) for value in values]
    for value, gradient in zip(values, along, strict=True):
        found.add(layer, value, gradient)
    for image in range(3):
        loss = sum(
            (layer(value[image : image + 1]) * gradient[image]).sum()
            for value, gradient in zip(values, along, strict=True)
        )
        (gradient,) = torch.autograd.grad(loss, [layer.weight])
        expected += gradient.square()
    with torch.no_grad():
        squares = found.squares(layer.weight.shape)
    torch.testing.assert_close(squares, expected, rtol=1e-4, atol=1e-4)
