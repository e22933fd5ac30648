"""A small vision transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES


class TransformerBlock(nn.Module):
    """Self-attention and a two-layer perceptron, each after a layer norm and on a shortcut.

    Args:
        width: features of a token.
        heads: of the attention.
        expansion: how many times more units the perceptron's hidden layer has.
    """

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, expansion * width)
        self.output = nn.Linear(expansion * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, count, width) to the same shape."""
        images, count, width = tokens.shape
        mixed = self.query_key_value(self.norm1(tokens))
        parts = mixed.view(images, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.project(attended.transpose(1, 2).reshape(images, count, width))
        changed: Tensor = self.output(F.gelu(self.hidden(self.norm2(tokens))))
        return tokens + changed


class TransformerNetwork(nn.Module):
    """A vision transformer whose answer is read from the mean token.

    Source: Dosovitskiy et al., An image is worth 16x16 words, 2021; patches are cut after one
    convolution, which small data sets need (Xiao et al., Early convolutions help transformers
    see better, 2021).

    Args:
        channels_in: channels of the images.
        side: of the images.
        width: features of a token.
        blocks: number of blocks.
        heads: of the attention.
        stride: of the first convolution.
        patch: side of the patches of its output.
    """

    def __init__(
        self,
        channels_in: int,
        side: int,
        *,
        width: int = 64,
        blocks: int = 4,
        heads: int = 4,
        stride: int = 1,
        patch: int = 2,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels_in, width // 2, 3, stride, padding=1)
        self.patches = nn.Conv2d(width // 2, width, patch, patch)
        count = (side // stride // patch) ** 2
        self.positions = nn.Parameter(0.02 * torch.randn(1, count, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, 2) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, side, side) to logits (n, classes)."""
        tokens = self.patches(F.gelu(self.stem(x))).flatten(2).transpose(1, 2)
        tokens = self.norm(self.blocks(tokens + self.positions))
        logits: Tensor = self.linear(tokens.mean(dim=1))
        return logits
