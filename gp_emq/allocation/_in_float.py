"""What a plan leaves in float."""

from collections.abc import Sequence

from torch import nn

from gp_emq.errors import NetworkError
from gp_emq.networks import Layer, in_own_form, private_copy


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
    left = {
        name: value.detach()
        for name, value in copied.named_parameters()
        if value.dim() >= 2 and id(value) not in known
    }
    return tuple(in_own_form(copied, left))
