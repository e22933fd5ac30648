"""A few learned vectors that read the patches of an image by attention, again and again."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES
from gp_emq.networks.zoo._tokens import attend


class ReadingBlock(nn.Module):
    """Attention of the vectors to the patches, then to each other, then a perceptron.

    Each follows a norm, on a shortcut.

    Args:
        width: features of a vector.
        features: of a patch.
        heads: of both attentions.
    """

    def __init__(self, width: int, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.ask, self.read = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(features, width), nn.Linear(features, width)
        self.mixed, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, vectors: Tensor, patches: Tensor) -> Tensor:
        """Map vectors (n, count, width), with patches (n, any, features), to their own shape."""
        asked = self.ask(self.norm1(vectors))
        read = attend(asked, self.key(patches), self.value(patches), self.heads)
        vectors = vectors + self.read(read)
        query, key, value = self.mixed(self.norm2(vectors)).chunk(3, dim=2)
        vectors = vectors + self.project(attend(query, key, value, self.heads))
        changed: Tensor = self.narrow(F.gelu(self.widen(self.norm3(vectors))))
        return vectors + changed


class LatentNetwork(nn.Module):
    """Such blocks, which all read the same patches, and the mean of the vectors.

    Source: Jaegle et al., Perceiver: General perception with iterative attention, 2021.

    Args:
        channels_in: channels of the images.
        side: of the images.
        count: number of learned vectors.
        width: features of a vector.
        features: of a patch.
        blocks: number of blocks.
        patch: distance between patches, which reach one pixel further than that.
        heads: of the attentions.
    """

    def __init__(
        self,
        channels_in: int,
        side: int,
        *,
        count: int,
        width: int,
        features: int,
        blocks: int,
        patch: int,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels_in, features, patch + 1, patch, padding=1)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (side // patch) ** 2, features))
        self.vectors = nn.Parameter(0.2 * torch.randn(1, count, width))
        self.norm_in, self.norm = nn.LayerNorm(features), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(ReadingBlock(width, features, heads) for _ in range(blocks))
        self.linear = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, side, side) to logits (n, classes)."""
        patches = self.norm_in(self.patches(x).flatten(2).transpose(1, 2) + self.positions)
        vectors = self.vectors.expand(len(x), -1, -1)
        for block in self.blocks:
            vectors = block(vectors, patches)
        logits: Tensor = self.linear(self.norm(vectors).mean(dim=1))
        return logits
