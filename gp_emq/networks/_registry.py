"""The networks known by name, and how any other is found."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn

from gp_emq.errors import NetworkError
from gp_emq.networks._cifar_resnet import CifarResNet
from gp_emq.networks._efficientnet import (
    EXTRA,
    efficientnet_lite0,
    efficientnet_lite0_weights,
    load_efficientnet_lite0,
)
from gp_emq.networks._layer import Layer
from gp_emq.networks._layers import find_layers
from gp_emq.networks._own_code import made_by, said, seeded
from gp_emq.networks._torchvision import import_torchvision
from gp_emq.networks._weights import load_weights
from gp_emq.networks.zoo import ZOO

DATA_VARIABLE = "GP_EMQ_DATA"
_EMBEDDED = Path(__file__).parent / "data"
_CIFAR_INPUT = (3, 32, 32)
_IMAGENET_INPUT = (3, 224, 224)

Ties = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Network:
    """A network ready to be quantized.

    Attributes:
        name: its registered name, or `package.module:factory`.
        model: the network, in eval mode.
        layers: its quantizable modules in forward order.
        input_shape: (C, H, W) of one image; of a workload the shape of one sample, empty where that
            is no tensor of floats.
        weights: the file its weights were read from, `None` where no file was.
    """

    name: str
    model: nn.Module
    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    weights: Path | None = None


@dataclass(frozen=True)
class NetworkSpecification:
    """How a registered network is made.

    Args:
        name: its registered name.
        description: one line.
        factory: builds the untrained network.
        input_shape: (C, H, W) of one image.
        ties: layers that share one bit entry.
        embedded: file of the weights that ship with the package, empty where none do.
        published: path of its weights below the folder that `GP_EMQ_DATA` names, empty
            where there is none.
        enumeration: torchvision's enumeration of its weights, empty where there is none.
        packaged: finds the file of its weights in a package, where they come in one.
        load: puts a file's weights into the network.
    """

    name: str
    description: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    ties: Ties = ()
    embedded: str = ""
    published: str = ""
    enumeration: str = ""
    packaged: Callable[[], Path] | None = None
    load: Callable[[nn.Module, Path], None] = load_weights


def network_specifications() -> tuple[NetworkSpecification, ...]:
    """Return the registered networks."""
    return _SPECIFICATIONS


def load_network(
    name: str, weights: Path | None = None, input_shape: tuple[int, ...] | None = None
) -> Network:
    """Load a network with its weights.

    Args:
        name: a registered name, or `package.module:factory` where `factory()` returns a
            `torch.nn.Module`, or one together with its input shape (C, H, W).
        weights: a `.safetensors` file or torch checkpoint. Without it the digits network has
            the weights that ship with the package, the others those in the folder that the
            environment variable `GP_EMQ_DATA` names, torchvision's published ones, or those of
            another package; a factory's network keeps the weights it comes with.
        input_shape: (C, H, W) of the images it will be given, where a factory says none; that of
            ImageNet by default.

    Raises:
        NetworkError: if the name is unknown, or weights are missing or do not fit.
    """
    if ":" in name:
        model, shape = _from_factory(name, input_shape or _IMAGENET_INPUT)
        if weights is not None:
            load_weights(model, weights)
        return _network(name, model, shape, (), weights)
    specification = _find(name)
    found = weights or _default_weights(specification)
    if found is None and specification.enumeration:
        model = _torchvision_trained(specification)
    elif found is None:
        raise NetworkError(
            f"{name} needs its weights: give a file"
            + (
                f", or put it at ${DATA_VARIABLE}/{specification.published}"
                if specification.published
                else ""
            )
        )
    else:
        model = seeded(specification.factory)
        specification.load(model, found)
    return _network(name, model, specification.input_shape, specification.ties, found)


def untrained_network(name: str, seed: int = 0) -> Network:
    """Build a registered network with seeded random weights.

    Args:
        name: a registered name.
        seed: of the initial weights.

    Raises:
        NetworkError: if the name is unknown.
    """
    specification = _find(name)
    model = seeded(specification.factory, seed)
    return _network(name, model, specification.input_shape, specification.ties, None)


@cache
def registered_layers(name: str) -> tuple[Layer, ...]:
    """Return the layers of a registered network, whatever its weights.

    Args:
        name: a registered name.

    Raises:
        NetworkError: if the name is unknown.
    """
    specification = _find(name)
    # Not on the meta device, for which torch loads its compiler: that takes longer.
    model = seeded(specification.factory)
    return find_layers(model, torch.zeros(1, *specification.input_shape), specification.ties)


def _find(name: str) -> NetworkSpecification:
    for specification in _SPECIFICATIONS:
        if specification.name == name:
            return specification
    known = ", ".join(specification.name for specification in _SPECIFICATIONS)
    raise NetworkError(f"unknown network {name!r}: known are {known}, or package.module:factory")


def _default_weights(specification: NetworkSpecification) -> Path | None:
    if specification.embedded:
        return _EMBEDDED / specification.embedded
    if specification.packaged is not None:
        return specification.packaged()
    folder = os.environ.get(DATA_VARIABLE)
    if folder and specification.published:
        path = Path(folder) / specification.published
        return path if path.is_file() else None
    return None


def _network(
    name: str,
    model: nn.Module,
    input_shape: tuple[int, int, int],
    ties: Ties,
    weights: Path | None,
) -> Network:
    try:
        model.eval()
    except Exception as error:
        raise NetworkError(f"{name} does not go into eval mode: {said(error)}") from error
    layers = find_layers(model, torch.zeros(1, *input_shape), ties)
    return Network(name, model, layers, input_shape, weights)


def _from_factory(name: str, default: tuple[int, ...]) -> tuple[nn.Module, tuple[int, int, int]]:
    made = made_by(
        name, "network factory", "a torch.nn.Module, or one with its input shape (C, H, W)"
    )
    shape = default
    if isinstance(made, tuple) and len(made) == 2:
        made, shape = made
    if not isinstance(made, nn.Module):
        raise NetworkError(f"{name} returned {type(made).__name__}, not a torch.nn.Module")
    sides = shape if isinstance(shape, (tuple, list)) else ()
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise NetworkError(f"{name} gave the input shape {shape}, not (C, H, W)")
    return made, (sides[0], sides[1], sides[2])


def _torchvision_untrained(name: str) -> nn.Module:
    model: nn.Module = getattr(import_torchvision("models"), name)(weights=None)
    return model


def _torchvision_trained(specification: NetworkSpecification) -> nn.Module:
    models = import_torchvision("models")
    weights = getattr(models, specification.enumeration).DEFAULT
    try:
        model: nn.Module = getattr(models, specification.name)(weights=weights)
    except (URLError, OSError) as error:
        raise NetworkError(
            f"{specification.name} has no weights here, and {weights.url} does not download "
            f"({error}): give a file"
        ) from error
    return model


def _down_sampling_ties(last: str) -> Ties:
    """Tie each stage's down-sampling convolution with the last convolution of its block."""
    stages = range(1 if last == "conv3" else 2, 5)
    return tuple((f"layer{s}.0.{last}", f"layer{s}.0.downsample.0") for s in stages)


_SPECIFICATIONS = (
    NetworkSpecification(
        "digits",
        "ResNet-14 of widths 8, 16, 32 for the 8x8 digits of scikit-learn",
        partial(CifarResNet, 2, (8, 16, 32), channels_in=1),
        (1, 8, 8),
        embedded="digits.safetensors",
    ),
    *(
        NetworkSpecification(
            f"resnet{depth}",
            f"ResNet-{depth} for CIFAR-10, shortcuts without parameters",
            partial(CifarResNet, (depth - 2) // 6),
            _CIFAR_INPUT,
            published=f"cifar10/{file}",
        )
        for depth, file in (
            (20, "resnet20-12fca82f.th"),
            (32, "resnet32-d509ac18.th"),
            (44, "resnet44-014dd654.th"),
            (56, "resnet56-4bfd9763.th"),
        )
    ),
    *(
        NetworkSpecification(
            member.name,
            member.description,
            member.factory,
            member.input_shape,
            embedded=f"zoo/{member.name}.safetensors",
        )
        for member in ZOO
        if (_EMBEDDED / "zoo" / f"{member.name}.safetensors").is_file()
    ),
    NetworkSpecification(
        "resnet18",
        "torchvision's ResNet-18 for ImageNet; down-sampling follows its block: 18 entries",
        partial(_torchvision_untrained, "resnet18"),
        _IMAGENET_INPUT,
        ties=_down_sampling_ties("conv2"),
        enumeration="ResNet18_Weights",
    ),
    NetworkSpecification(
        "resnet50",
        "torchvision's ResNet-50 for ImageNet; down-sampling follows its block",
        partial(_torchvision_untrained, "resnet50"),
        _IMAGENET_INPUT,
        ties=_down_sampling_ties("conv3"),
        enumeration="ResNet50_Weights",
    ),
    NetworkSpecification(
        "mobilenet_v2",
        "torchvision's MobileNetV2 for ImageNet: 53 entries",
        partial(_torchvision_untrained, "mobilenet_v2"),
        _IMAGENET_INPUT,
        published="imagenet/mobilenet_v2_8bit_grid.pth",
        enumeration="MobileNet_V2_Weights",
    ),
    NetworkSpecification(
        "efficientnet_lite0",
        f"EfficientNet-Lite0 for ImageNet, with the extra [{EXTRA}]",
        efficientnet_lite0,
        _IMAGENET_INPUT,
        packaged=efficientnet_lite0_weights,
        load=load_efficientnet_lite0,
    ),
)
