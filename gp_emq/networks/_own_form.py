"""Tensors of a private copy as the network has them that it is a copy of, and the way back."""

from collections.abc import Mapping

from torch import Tensor, nn

from gp_emq.networks._channels_first import with_channels_first, with_own_axes
from gp_emq.networks._projections import joined, parted


def in_own_form(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring tensors of a private copy to the form that they have in the network it is a copy of.

    Args:
        model: The copy.
        tensors: By name. Parts of one parameter keep their names where there are not all of them.
    """
    return joined(model, with_own_axes(model, tensors))


def in_private_form(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `in_own_form`.

    Args:
        model: The copy.
        tensors: By name; what has another shape than there is left as it is.
    """
    return with_channels_first(model, parted(model, tensors))
