"""Self-attention along rows and then along columns, with the norms after the shortcuts."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._tokens import attend


class AxialAttention(nn.Module):
    """Self-attention of the tokens of each line among themselves.

    Args:
        width: features of a token.
        heads: of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.project = nn.Linear(width, width)

    def forward(self, lines: Tensor) -> Tensor:
        """Map lines (n, lines, length, width) to the same shape."""
        key, value = self.key_value(lines).chunk(2, dim=-1)
        attended = attend(self.query(lines), key, value, self.heads)
        changed: Tensor = self.project(attended)
        return changed


class AxialBlock(nn.Module):
    """Attention along rows, along columns, and a perceptron, each followed by a layer norm.

    Source: Ho et al., Axial attention in multidimensional transformers, 2019.

    Args:
        width: features of a token.
        count: number of tokens, a square.
        heads: of the attention.
        expansion: how many times more units the perceptron's hidden layer has.
    """

    def __init__(self, width: int, count: int, heads: int = 4, expansion: int = 2) -> None:
        super().__init__()
        self.side = math.isqrt(count)
        self.rows = AxialAttention(width, heads)
        self.columns = AxialAttention(width, heads)
        self.hidden = nn.Linear(width, expansion * width)
        self.output = nn.Linear(expansion * width, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, count, width) to the same shape."""
        square = tokens.reshape(len(tokens), self.side, self.side, -1)
        square = self.norm1(square + self.rows(square))
        turned = square.transpose(1, 2)
        square = self.norm2(turned + self.columns(turned)).transpose(1, 2)
        tokens = square.flatten(1, 2)
        changed: Tensor = self.norm3(tokens + self.output(F.relu(self.hidden(tokens))))
        return changed
