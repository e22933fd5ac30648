"""Gated recurrent units that read the rows of an image, in both directions."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gp_emq.networks.zoo._parts import CLASSES


class GatedUnit(nn.Module):
    """A recurrent unit with a reset and an update gate, whose weights every step shares.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.

    Args:
        features: of one step of the input.
        width: of the state.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.gates = nn.Linear(features + width, 2 * width)
        self.candidate = nn.Linear(features + width, width)

    def forward(self, steps: Iterable[Tensor], state: Tensor) -> list[Tensor]:
        """Map steps, (n, features) each, and a state (n, width) to the states after each step."""
        states = []
        for step in steps:
            gates = self.gates(torch.cat([step, state], dim=1)).sigmoid()
            reset, update = gates.split(self.width, dim=1)
            wanted = self.candidate(torch.cat([step, reset * state], dim=1)).tanh()
            state = state + update * (wanted - state)
            states.append(state)
        return states


class BothWays(nn.Module):
    """One unit from the first step to the last, one from the last to the first, and a norm.

    Args:
        features: of one step of the input.
        width: of each unit's state.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.forwards, self.backwards = GatedUnit(features, width), GatedUnit(features, width)
        self.norm = nn.LayerNorm(2 * width)

    def forward(self, steps: Tensor) -> Tensor:
        """Map (n, count, features) to (n, count, 2 width)."""
        each = steps.unbind(1)
        start = steps.new_zeros(len(steps), self.forwards.width)
        there = self.forwards(each, start)
        back = self.backwards(each[::-1], start)[::-1]
        states: Tensor = self.norm(torch.cat([torch.stack(there, 1), torch.stack(back, 1)], dim=2))
        return states


class RecurrentNetwork(nn.Module):
    """A convolution, units over its rows in both directions, and the mean over rows.

    Args:
        channels_in: channels of the images.
        side: of the images.
        channels: of the convolution.
        width: of each unit's state.
        blocks: number of pairs of units.
    """

    def __init__(
        self, channels_in: int, side: int, *, channels: int, width: int, blocks: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        features = (channels * side, *[2 * width] * (blocks - 1))
        self.blocks = nn.Sequential(*(BothWays(count, width) for count in features))
        self.linear = nn.Linear(2 * width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels_in, side, side) to logits (n, classes)."""
        rows = self.conv1(x).relu().transpose(1, 2).flatten(2)
        logits: Tensor = self.linear(self.blocks(rows).mean(dim=1))
        return logits
