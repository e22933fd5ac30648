"""EMQ's published formula where gradients may be zero."""

import torch
from torch import Tensor

from gp_emq.proxies._inputs import ProxyInputs

SMALLEST = torch.finfo(torch.float32).tiny
"""What the magnitude of a gradient counts as at least."""


def emq(inputs: ProxyInputs) -> Tensor:
    """EMQ's formula, defined also where a whole column of the virtual gradient is zero.

    There every logarithm is −∞ and the softmax over output channels is 0/0; with magnitudes
    bounded below it is uniform. (The mean of a softmax over its own axis is one over the
    axis' length anyway.) Source: Dong et al., EMQ, 2023.

    Returns:
        Oriented table mean(softmax(log|V|))·mean(√relu(W))·b, float64 (entries, bits).
    """
    statistics = inputs.statistics
    layout = statistics.layout("Weights")
    gradients = layout.views(statistics.tensor("virtual_gradient"))
    shares = torch.cat(
        [view.abs().clamp(min=SMALLEST).log().softmax(dim=0).reshape(-1) for view in gradients]
    )
    roots = statistics.tensor("weight").relu().sqrt()
    counts = layout.sum_entries(torch.ones_like(roots))
    factors = (layout.sum_entries(shares) / counts) * (layout.sum_entries(roots) / counts)
    return factors[:, None] * statistics.tensor("bits")
