"""A network small enough for its full Hessian, with all that makes layers awkward."""

import copy

import pytest
import torch
from torch import Tensor, nn


class TinyNetwork(nn.Module):
    """Two convolutions (one grouped, strided, with circular padding) and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(
            4, 4, 3, stride=2, padding=1, groups=2, bias=False, padding_mode="circular"
        )
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.relu(self.norm(self.first(images)))
        hidden = self.relu(self.second(hidden))
        return self.last(self.drop(hidden.mean(dim=(2, 3))))


@pytest.fixture(scope="session")
def first_model() -> nn.Module:
    """The network that every test gets a copy of."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = TinyNetwork()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.7)
        nn.init.uniform_(network.norm.running_var, 0.5, 2)
    return network


@pytest.fixture
def model(first_model: nn.Module) -> nn.Module:
    return copy.deepcopy(first_model)


@pytest.fixture(scope="session")
def images() -> Tensor:
    return torch.randn(10, 1, 6, 6, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="session")
def labels() -> Tensor:
    return torch.randint(0, 3, (10,), generator=torch.Generator().manual_seed(6))
