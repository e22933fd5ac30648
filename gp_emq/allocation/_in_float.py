"""What a plan leaves in float."""

from collections.abc import Sequence

from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks import (
    Layer,
    PrivateNetwork,
    Workload,
    multiplied_beside,
    reasons_kept,
)


def kept_in_float(
    model: nn.Module | Workload, layers: Sequence[Layer], excluded: Sequence[Layer] = ()
) -> dict[str, str]:
    """Say which of a network's weights (two axes or more) are in none of its layers, and why.

    Args:
        model: The network; a `Workload` of it, whose first samples are run, tells of its buffers
            and other tensors that it multiplies with, too.
        layers: What is quantized of it, or can be.
        excluded: Layers that could be quantized too, but are not.

    Returns:
        The reasons by name of the weight; one that several modules share counts as a layer's if
        it is one's.

    Raises:
        NetworkError: The layers are not those of the network.
    """
    # In a private copy weights that are computed from others are plain.
    workload = model if isinstance(model, Workload) else None
    network = PrivateNetwork(model) if isinstance(model, nn.Module) else model.private()
    weights = [_weights(network.model, some) for some in (layers, excluded)]
    beside = () if workload is None else multiplied_beside(network, workload.samples)
    return reasons_kept(network.model, *weights, beside=beside)


def _weights(model: nn.Module, layers: Sequence[Layer]) -> list[Tensor]:
    try:
        found = [model.get_submodule(layer.name).weight for layer in layers]
    except AttributeError as error:
        raise NetworkError(f"the layers are not those of the network: {error}") from error
    return [value for value in found if isinstance(value, Tensor)]
