"""Small networks with what real ones have: batch norm, shared weights, tokens, two arguments."""

import torch
from torch import Tensor, nn


class Normed(nn.Module):
    """A convolution with batch norm, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(images))).mean(dim=(2, 3)))


class Shared(nn.Module):
    """One convolution called at two resolutions, and two layers that have one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(2, 2, 3, padding=1)
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight

    def forward(self, images: Tensor) -> Tensor:
        once = torch.relu(self.twice(images))
        again = self.twice(9 * nn.functional.avg_pool2d(once, 2))
        return self.second(torch.relu(self.first(again.mean(dim=(2, 3)))))


class Gated(nn.Module):
    """A block that takes two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Linear(6, 6)
        self.gate = nn.Linear(6, 6)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        return self.value(tokens) * torch.sigmoid(self.gate(context))


class Tokens(nn.Module):
    """Patches as a sequence of tokens through a gated block and an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(2, 6, 4, stride=4)
        self.gated = Gated()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = self.gated(tokens, tokens.flip(1))
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.head(mixed.mean(dim=1))


def made(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network with seeded weights; its batch norms have statistics of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind().eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return model


def pictures(count: int = 24, channels: int = 2, side: int = 8) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))
