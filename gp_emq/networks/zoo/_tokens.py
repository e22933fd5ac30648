"""What networks over patches of the image share: the tokens, their positions, the head."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES


class TokenNetwork(nn.Module):
    """Blocks over patches of the image, whose answer is read from the mean token.

    Args:
        channels_in: channels of the images.
        side: of the images.
        width: features of a token.
        blocks: number of blocks.
        patch: side of the patches.
        block: makes one of the width and the number of tokens.
    """

    def __init__(
        self,
        channels_in: int,
        side: int,
        *,
        width: int,
        blocks: int,
        patch: int,
        block: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        count = (side // patch) ** 2
        self.patches = nn.Conv2d(channels_in, width, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, count, width))
        self.blocks = nn.Sequential(*(block(width, count) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, side, side) to logits (n, classes)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.linear(self.norm(self.blocks(tokens)).mean(dim=1))
        return logits


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Let each token attend to all, in several heads.

    Args:
        query: of each token, (..., count, width).
        key: the same.
        value: the same.
        heads: into which the width is divided.

    Returns:
        (..., count, width).
    """
    query, key, value = (
        part.reshape(*part.shape[:-1], heads, -1).transpose(-2, -3) for part in (query, key, value)
    )
    attended = F.scaled_dot_product_attention(query, key, value)
    return attended.transpose(-2, -3).flatten(-2)
