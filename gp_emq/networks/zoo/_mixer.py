"""Perceptrons over positions and over features in turn, in the manner of MLP-Mixer."""

import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES


class MixerBlock(nn.Module):
    """A perceptron across the tokens and one across the features, each after a layer norm.

    Both lie on a shortcut.

    Args:
        tokens: number of tokens.
        width: features of a token.
        expansion: how many times more units each hidden layer has.
    """

    def __init__(self, tokens: int, width: int, expansion: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.across = nn.Linear(tokens, expansion * tokens)
        self.back = nn.Linear(expansion * tokens, tokens)
        self.norm2 = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, expansion * width)
        self.output = nn.Linear(expansion * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (n, count, width) to the same shape."""
        across = self.norm1(tokens).transpose(1, 2)
        tokens = tokens + self.back(F.gelu(self.across(across))).transpose(1, 2)
        changed: Tensor = self.output(F.gelu(self.hidden(self.norm2(tokens))))
        return tokens + changed


class MixerNetwork(nn.Module):
    """A network of such blocks behind patches, whose answer is read from the mean token.

    Source: Tolstikhin et al., MLP-Mixer: An all-MLP architecture for vision, 2021.

    Args:
        channels_in: channels of the images.
        side: of the images.
        width: features of a token.
        blocks: number of blocks.
        patch: side of the patches.
    """

    def __init__(self, channels_in: int, side: int, *, width: int, blocks: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels_in, width, patch, patch)
        count = (side // patch) ** 2
        self.blocks = nn.Sequential(*(MixerBlock(count, width, 2) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, side, side) to logits (n, classes)."""
        tokens = self.norm(self.blocks(self.patches(x).flatten(2).transpose(1, 2)))
        logits: Tensor = self.linear(tokens.mean(dim=1))
        return logits
