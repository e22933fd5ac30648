"""What a command allocates for: a network and the images its statistics are collected on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from gp_emq.allocation._names import CALIBRATION_IMAGES
from gp_emq.errors import DataError, NetworkError
from gp_emq.networks import (
    Layer,
    Network,
    data_set_of,
    drawn,
    load_calibration,
    load_network,
    own_arrays,
    private_copy,
)


@dataclass(frozen=True)
class Inputs:
    """A network with its calibration batch.

    Attributes:
        network: The network.
        images: float32 (n, C, H, W).
        labels: int64 (n,), or None for the network's own predictions.
    """

    network: Network
    images: Tensor
    labels: Tensor | None


def load_inputs(
    network: str,
    weights: Path | None = None,
    data: Sequence[Path] = (),
    *,
    images: int = CALIBRATION_IMAGES,
    seed: int = 0,
) -> Inputs:
    """Load a network and its calibration batch.

    Args:
        network: A registered name, or `package.module:factory`.
        weights: Its weights; see `gp_emq.networks.load_network`.
        data: Files and folders of its data set, or one `.npz` file of arrays as the network
            takes them: `x` float32 (n, C, H, W) and, where there are labels, `y` (n,).
        images: Most images of the batch.
        seed: Of the draw of the images.

    Raises:
        GpEmqError: Network, weights or images are unknown, missing or do not fit.
    """
    if seed < 0:
        raise DataError(f"seed must be at least 0, not {seed}")
    loaded = load_network(network, weights)
    ready = own_arrays(loaded, data)
    if ready is not None:
        found, labels = ready
        chosen, _ = drawn(len(found), images, seed)
        return Inputs(loaded, found[chosen], None if labels is None else labels[chosen])
    data_set = data_set_of(loaded.name, loaded.input_shape)
    batch = load_calibration(data_set, data, count=images, seed=seed)
    return Inputs(loaded, batch.images, batch.labels)


def kept_in_float(model: nn.Module, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Names of a network's weights (two axes or more) that belong to none of its layers.

    Args:
        model: The network.
        layers: What can be quantized of it.

    Returns:
        The names; a weight that several modules share counts as a layer's if it is one's.

    Raises:
        NetworkError: The layers are not those of the network.
    """
    copied = private_copy(model)  # where weights that are computed from others are plain
    try:
        known = {id(copied.get_submodule(layer.name).weight) for layer in layers}
    except AttributeError as error:
        raise NetworkError(f"the layers are not those of the network: {error}") from error
    return tuple(
        name
        for name, value in copied.named_parameters()
        if value.dim() >= 2 and id(value) not in known
    )
