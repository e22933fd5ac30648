"""Perceptrons whose features gate each other across positions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedBlock(nn.Module):
    """A perceptron in which one half of the features, mixed over all tokens, gates the other.

    Source: Liu et al., Pay attention to MLPs, 2021.

    Args:
        width: features of a token.
        count: number of tokens.
        expansion: how many times more features lie between.
    """

    def __init__(self, width: int, count: int, expansion: int = 4) -> None:
        super().__init__()
        inner = expansion * width
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, inner)
        self.gate_norm = nn.LayerNorm(inner // 2)
        self.across = nn.Linear(count, count)
        self.narrow = nn.Linear(inner // 2, width)
        nn.init.normal_(self.across.weight, std=1e-2)
        nn.init.ones_(self.across.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, count, width) to the same shape."""
        values, gates = torch.chunk(F.gelu(self.widen(self.norm(tokens))), 2, dim=-1)
        gates = self.across(self.gate_norm(gates).transpose(1, 2)).transpose(1, 2)
        changed: Tensor = self.narrow(values * gates)
        return tokens + changed
