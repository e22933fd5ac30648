"""The checks of derivatives raise no alarm where autograd is right, kinks and all."""

import pytest
import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks import (
    PrivateNetwork,
    Workload,
    import_torchvision,
    layers_of,
    load_network,
    undisturbed,
)
from gp_emq.statistics._derivatives import check_curvature, check_gradients
from gp_emq.statistics._network import FunctionalNetwork


class Pooled(nn.Module):
    """Max-pooling, several kinds of kinks, and a part in float32 whatever the rest is in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.max_pool2d(nn.functional.relu6(self.first(x)), 2)
        shares = self.second(hidden).float().softmax(dim=1).type_as(hidden)
        return self.head(nn.functional.hardswish(shares - 0.1).abs().amax((2, 3))).float()


def transformer() -> nn.Module:
    vision = import_torchvision()
    return vision.VisionTransformer(16, 8, 2, 2, 32, 64, num_classes=10)


def mobile() -> nn.Module:
    vision = import_torchvision()
    return vision.mobilenet_v2(num_classes=10, width_mult=0.25)


def digits() -> nn.Module:
    return load_network("digits").model


def residual() -> nn.Module:
    try:
        return load_network("resnet20").model
    except NetworkError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (digits, (1, 8, 8)),
        (residual, (3, 32, 32)),
        (mobile, (3, 32, 32)),
        (transformer, (3, 16, 16)),
        (Pooled, (3, 12, 12)),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_right_derivatives_pass(make, shape, seed) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = PrivateNetwork(make())
        images = torch.randn(2, *shape)
    layers = layers_of(network, images[:1])
    ordered = sorted(layers, key=lambda layer: layer.entry)
    functional = FunctionalNetwork(network, ordered, Workload(network.model, images))
    with undisturbed():
        check_gradients(functional, images)
        check_curvature(functional, images)


def test_a_network_whose_kinks_hide_its_curvature_is_run_five_times_at_most() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, image = PrivateNetwork(mobile()), torch.randn(1, 3, 32, 32)
    layers = layers_of(network, image)
    ordered = sorted(layers, key=lambda layer: layer.entry)
    functional = FunctionalNetwork(network, ordered, Workload(network.model, image))
    runs: list[int] = []
    network.model.register_forward_hook(lambda _m, given, _o: runs.append(len(given[0])))
    with undisturbed():
        check_curvature(functional, image)
    # Each costs a backward pass in float64, too: the collection itself is to be what takes time.
    assert 3 <= len(runs) <= 5
