"""What a plan leaves in float."""

from collections.abc import Sequence

from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks import Layer, private_copy, reasons_kept


def kept_in_float(
    model: nn.Module, layers: Sequence[Layer], excluded: Sequence[Layer] = ()
) -> dict[str, str]:
    """Say which of a network's weights (two axes or more) are in none of its layers, and why.

    Args:
        model: The network.
        layers: What is quantized of it, or can be.
        excluded: Layers that could be quantized too, but are not.

    Returns:
        The reasons by name of the weight; one that several modules share counts as a layer's if
        it is one's.

    Raises:
        NetworkError: The layers are not those of the network.
    """
    copied = private_copy(model)  # where weights that are computed from others are plain
    return reasons_kept(copied, *(_weights(copied, some) for some in (layers, excluded)))


def _weights(model: nn.Module, layers: Sequence[Layer]) -> list[Tensor]:
    try:
        found = [model.get_submodule(layer.name).weight for layer in layers]
    except AttributeError as error:
        raise NetworkError(f"the layers are not those of the network: {error}") from error
    return [value for value in found if isinstance(value, Tensor)]
