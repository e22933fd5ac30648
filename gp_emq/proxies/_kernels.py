"""Elementwise operators, computed into memory that is given or fresh."""

import numpy as np
from torch import Tensor

from primitives import Kernel, Operator


def kernel_of(operator: Operator) -> Kernel:
    """Give the kernel of an elementwise operator; what has none is computed and copied."""
    if operator.kernel is not None:
        return operator.kernel

    def copied(*arguments: Tensor, out: Tensor) -> Tensor:
        return out.copy_(operator.function(*arguments))

    return copied


def computed(operator: Operator, *arguments: Tensor | float) -> Tensor:
    """Apply an elementwise operator to tensors, by its kernel, into memory of its own."""
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    shape = np.broadcast_shapes(*(tensor.shape for tensor in tensors))
    return kernel_of(operator)(*arguments, out=tensors[0].new_empty(shape))
