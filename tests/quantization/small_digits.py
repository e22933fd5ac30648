"""Small networks for images of digits, by the name of a factory as a bench takes them."""

import torch
from torch import Tensor, nn


class Small(nn.Module):
    """Convolutions with batch norm around a sum, and a linear layer."""

    def __init__(self, *, normed: bool = True, shared: bool = False) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1 if place == 0 else 4, 4, 3, padding=1) for place in range(3)]
        )
        if shared:
            self.convolutions[2].weight = self.convolutions[1].weight
        self.norms = nn.ModuleList(
            [nn.BatchNorm2d(4) if normed else nn.Identity() for _ in range(3)]
        )
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for place, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            y = norm(convolution(x))
            x = torch.relu(y if place == 0 else x + y)
        return self.head(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


def _made(**options: bool) -> tuple[nn.Module, tuple[int, int, int]]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Small(**options)
        for norm in model.norms:
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(std=0.2)
                norm.running_var.uniform_(0.1, 0.5)
    return model.eval(), (1, 8, 8)


def normed() -> tuple[nn.Module, tuple[int, int, int]]:
    return _made()


def plain() -> tuple[nn.Module, tuple[int, int, int]]:
    return _made(normed=False)


def shared() -> tuple[nn.Module, tuple[int, int, int]]:
    return _made(shared=True)
