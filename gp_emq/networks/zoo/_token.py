"""A transformer with a class token, gated perceptrons and root-mean-square norms."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES
from gp_emq.networks.zoo._tokens import attend


class GatedTransformerBlock(nn.Module):
    """Self-attention and a perceptron gated by SiLU, each after a root-mean-square norm.

    Sources: Zhang and Sennrich, Root mean square layer normalization, 2019; Shazeer, GLU variants
    improve transformer, 2020.

    Args:
        width: features of a token.
        heads: of the attention.
        inner: units of the perceptron.
    """

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.query, self.key, self.value, self.project = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.gate, self.up = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, count, width) to the same shape."""
        normed = self.norm1(tokens)
        attended = attend(self.query(normed), self.key(normed), self.value(normed), self.heads)
        tokens = tokens + self.project(attended)
        normed = self.norm2(tokens)
        changed: Tensor = self.down(F.silu(self.gate(normed)) * self.up(normed))
        return tokens + changed


class ClassTokenNetwork(nn.Module):
    """Such blocks behind patches, and the answer of a token of their own.

    Args:
        channels_in: channels of the images.
        side: of the images.
        width: features of a token.
        blocks: number of blocks.
        patch: side of the patches.
        heads: of the attention.
    """

    def __init__(
        self, channels_in: int, side: int, *, width: int, blocks: int, patch: int, heads: int = 4
    ) -> None:
        super().__init__()
        count = (side // patch) ** 2
        self.patches = nn.Conv2d(channels_in, width, patch, patch)
        self.answer = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + count, width))
        self.blocks = nn.Sequential(
            *(GatedTransformerBlock(width, heads, 2 * width) for _ in range(blocks))
        )
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.linear = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, side, side) to logits (n, classes)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.answer.expand(len(x), -1, -1), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens + self.positions))
        logits: Tensor = self.linear(tokens[:, 0])
        return logits
