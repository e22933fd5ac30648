"""What statistics are of: layers, widths, and a fingerprint of everything they depend on."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gp_emq.errors import StatisticsError
from gp_emq.files import code_sha256, shortened
from gp_emq.networks import (
    Layer,
    Samples,
    numbers_of,
    sha256_of_behaviour,
    tensors_of,
    weight_layers,
)
from gp_emq.quantization import MAX_BITS, MIN_BITS, WeightQuantizer
from gp_emq.statistics._layout import Layout
from gp_emq.statistics._settings import StatisticsSettings

FORMAT_VERSION = 2
"""Rises when the files that hold statistics change."""


@dataclass(frozen=True)
class Header:
    """Identity of a collection of statistics.

    Attributes:
        layers: The layers in forward order.
        bits: The widths, rising.
        fingerprint: sha256 of network, images, labels, settings, quantizer and widths, and of the
            code that collects them.

    Raises:
        StatisticsError: No layer, or widths that do not rise.
    """

    layers: tuple[Layer, ...]
    bits: tuple[int, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        if not self.layers:
            raise StatisticsError("there is no layer to collect statistics of")
        check_bits(self.bits)

    @property
    def ordered_layers(self) -> tuple[Layer, ...]:
        """The layers by entry and then forward order, as flat buffers hold them."""
        return tuple(sorted(self.layers, key=lambda layer: layer.entry))

    @property
    def weight_layers(self) -> tuple[Layer, ...]:
        """Those of the ordered layers whose weight is their own, one for each weight."""
        return weight_layers(self.ordered_layers)

    @property
    def weight_layout(self) -> Layout:
        """Layout of the statistics shaped as the weights, one tensor for each distinct weight."""
        layers = self.weight_layers
        return Layout(
            tuple(layer.weight_shape for layer in layers), tuple(layer.entry for layer in layers)
        )

    def activation_layout(self, shapes: Sequence[tuple[int, ...]]) -> Layout:
        """Layout of one tensor per layer, in the order of `ordered_layers`."""
        return Layout(tuple(shapes), tuple(layer.entry for layer in self.ordered_layers))


def check_bits(bits: object) -> tuple[int, ...]:
    """Return widths as plain integers.

    Raises:
        StatisticsError: They are no whole numbers, out of range, or do not rise.
    """
    if isinstance(bits, (str, bytes)) or not isinstance(bits, Iterable):
        raise StatisticsError(f"bits are {shortened(bits)}: give several widths, as (2, 3, 4)")
    widths = list(bits)
    whole = all(
        isinstance(width, (int, np.integer)) and not isinstance(width, bool) for width in widths
    )
    if not whole or not widths or widths != sorted(set(widths)):
        raise StatisticsError(
            f"bit widths must rise, and be whole numbers, as (2, 3, 4); got {shortened(widths)}"
        )
    if widths[0] < MIN_BITS or widths[-1] > MAX_BITS:
        raise StatisticsError(
            f"bit widths must be {MIN_BITS} to {MAX_BITS}, got {shortened(widths)}"
        )
    return tuple(map(int, widths))


def sha256_of(named: Iterable[tuple[str, Tensor]]) -> str:
    """Hash tensors by name, type, shape and value."""
    digest = hashlib.sha256()
    for name, tensor in named:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        for values in numbers_of(tensor.detach().cpu()):
            digest.update(values.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def state_sha256(model: nn.Module) -> str:
    """Hash a model's parameters and buffers and its printed structure."""
    # A module that prints a function prints its address too, which differs in each process.
    structure = re.sub(r" at 0x[0-9a-f]+", "", repr(model))
    named = sorted([*model.named_parameters(), *model.named_buffers()], key=lambda pair: pair[0])
    return hashlib.sha256(f"{structure}\n{sha256_of(named)}".encode()).hexdigest()


def network_sha256(model: nn.Module) -> str:
    """Hash all that decides what a network computes: `state_sha256`, and code and attributes."""
    known = f"{state_sha256(model)} {sha256_of_behaviour(model)}"
    return hashlib.sha256(known.encode()).hexdigest()


def fingerprint(
    state: str,
    images: Samples,
    labels: Samples | None,
    *,
    layers: Sequence[Layer],
    bits: Sequence[int],
    quantizer: WeightQuantizer,
    settings: StatisticsSettings,
    judged: str | None = None,
    rounding: str | None = None,
) -> str:
    """Hash everything that statistics depend on, the code that collects them too.

    Args:
        state: Hash of the model, see `network_sha256`.
        images: (n, C, H, W).
        labels: (n,), or None for the network's own predictions.
        layers: The layers.
        bits: The widths.
        quantizer: The weight quantizer.
        settings: The settings.
        judged: Hash of a workload's own forward, loss and metric; None for an image classifier.
        rounding: Hash of what a recipe learns to round by; None where it rounds to the nearest.

    Returns:
        64 hexadecimal digits.
    """
    tensors = tensors_of(images, "images")
    tensors += [] if labels is None else tensors_of(labels, "labels")
    document = {
        "format": FORMAT_VERSION,
        "code": code_sha256("gp_emq.statistics"),
        "state": state,
        "batch": sha256_of(tensors),
        "layers": [asdict(layer) for layer in layers],
        "bits": list(bits),
        "quantizer": quantizer.document(),
        "settings": asdict(settings),
        **({} if judged is None else {"workload": judged}),
        **({} if rounding is None else {"rounding": rounding}),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
