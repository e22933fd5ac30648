"""What sparse tensors hold."""

import torch
from torch import Tensor


def numbers_of(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the dense tensors that a tensor is made of: itself, or its places and its values.

    Args:
        tensor: of any layout; equal sparse ones of one layout give equal numbers.
    """
    if tensor.layout == torch.strided:
        return (tensor,)
    sparse = (tensor if tensor.is_sparse else tensor.to_sparse()).coalesce()
    return sparse.indices(), sparse.values()


def values_of(tensor: Tensor) -> Tensor:
    """Return the dense tensor of a tensor's numbers, without those that a sparse one leaves out.

    Args:
        tensor: of any layout; what is given lies where its own numbers do.
    """
    if tensor.is_sparse:
        return tensor._values()  # coalesced or not
    return tensor if tensor.layout == torch.strided else tensor.values()
