"""Small random networks with what makes real ones awkward, to hold public calls to laws.

A block may share memory or have parts of other types: it has a method `arrange`, which does so once
the network has its floating type. In a reference, `follow` makes of all that shares memory one
parameter, which autograd and changes in place then follow to every use.
"""

import copy
from dataclasses import dataclass

import torch
from hypothesis import strategies
from torch import Tensor, nn
from torch.nn import functional

CHANNELS, SIDE, CLASSES = 4, 4, 3


class Plain(nn.Module):
    """A convolution, with a ReLU that works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.elu(self.conv(x), inplace=True)


class Grouped(nn.Module):
    """A grouped convolution with circular padding, without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            CHANNELS, CHANNELS, 3, padding=1, groups=2, bias=False, padding_mode="circular"
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).tanh()


class Normed(nn.Module):
    """A convolution with a batch norm whose statistics are not the trivial ones."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(CHANNELS, CHANNELS, 1), nn.BatchNorm2d(CHANNELS)
        nn.init.uniform_(self.norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(input=self.conv(x)).tanh()


class Reused(nn.Module):
    """One convolution that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x).tanh()).tanh()


class Tied(nn.Module):
    """Two convolutions with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(CHANNELS, CHANNELS, 1), nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x).tanh()).tanh()


class ByKeyword(nn.Module):
    """A convolution that is called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(input=x).tanh()


class ChannelsLast(nn.Module):
    """A product over the last of four axes."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).tanh()


class SequenceFirst(nn.Module):
    """A product on tokens whose second axis is the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).permute(2, 0, 1)
        return self.product(tokens).permute(1, 2, 0).reshape(x.shape).tanh()


class Windows(nn.Module):
    """A product on windows, of which each image has several."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Linear(CHANNELS * SIDE, CHANNELS * SIDE)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(1, 2).reshape(-1, CHANNELS * SIDE)
        return self.product(rows).view(len(x), SIDE, CHANNELS, SIDE).transpose(1, 2).tanh()


class Conditional(nn.Module):
    """A convolution that only some images go through."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(v).tanh() if v.mean() > 0 else v for v in x.split(1)])


class Standardized(nn.Conv2d):
    """A convolution that standardizes its weight before it uses it."""

    def __init__(self) -> None:
        super().__init__(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / weight.square().mean((1, 2, 3), keepdim=True).sqrt()
        return self._conv_forward(x, weight, self.bias).tanh()


def _three_times(_module: nn.Module, _arguments: object, output: Tensor) -> Tensor:
    return 3 * output


def _halved(_module: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
    return (arguments[0] / 2,)


class Hooked(nn.Module):
    """A convolution with a hook and a pre-hook of the user."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.conv.register_forward_hook(_three_times)
        self.conv.register_forward_pre_hook(_halved)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).tanh()


class Autocast(nn.Module):
    """A convolution in bfloat16, within a network in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.conv(x).float().tanh()


class Depthwise(nn.Module):
    """A convolution of every channel alone, strided and dilated, in a network's memory format."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            CHANNELS, CHANNELS, 3, stride=2, dilation=2, padding=2, groups=CHANNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x.contiguous(memory_format=torch.channels_last))
        return functional.interpolate(x, size=SIDE).tanh()


class TwoSizes(nn.Module):
    """One convolution that is called on the images, and on what is left of them at half size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        half = self.conv(input=functional.avg_pool2d(x, 2)).tanh()
        return self.conv(x).tanh() + functional.interpolate(half, size=SIDE)


class OnOneStorage(nn.Module):
    """Two products whose weights are separate parameters on the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(CHANNELS, CHANNELS), nn.Linear(CHANNELS, CHANNELS)

    def arrange(self, *, follow: bool) -> None:
        self.other.weight = self.one.weight if follow else nn.Parameter(self.one.weight.data)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x.movedim(1, -1)).tanh()
        return self.other(x).tanh().movedim(-1, 1)


class Kept(nn.Module):
    """A product whose weight is an attribute of the block as well, which is used again."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Linear(CHANNELS, CHANNELS)

    def arrange(self, *, follow: bool) -> None:
        # Around `nn.Module.__setattr__`, which would make a parameter of the block of it.
        weight = self.product.weight
        self.__dict__["kept"] = [weight if follow else weight.data]

    def forward(self, x: Tensor) -> Tensor:
        x = self.product(x.movedim(1, -1)).tanh()
        return functional.linear(x, self.kept[0]).movedim(-1, 1).tanh()


class OfAnotherType(nn.Module):
    """A product in another floating type than the network, which casts what it is fed."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Linear(CHANNELS, CHANNELS)

    def arrange(self, *, follow: bool) -> None:
        kind = self.product.weight.dtype
        if not follow:
            self.product.to(torch.float32 if kind is torch.float64 else torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        fed = x.movedim(1, -1).to(self.product.weight.dtype)
        return self.product(fed).to(x.dtype).movedim(-1, 1).tanh()


class AsSequence(nn.Module):
    """A convolution over the places of an image, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(CHANNELS, CHANNELS, 3, padding=1, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.flatten(2)).view(x.shape).tanh()


class Told(nn.Linear):
    """A product that is told by a second argument what to add."""

    def forward(self, x: Tensor, shift: Tensor, *, factor: float = 1.0) -> Tensor:
        return super().forward(x) * factor + shift


class WithArguments(nn.Module):
    """A product with more arguments than its input."""

    def __init__(self) -> None:
        super().__init__()
        self.product = Told(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        fed = x.movedim(1, -1)
        return self.product(fed, fed.flip(-1), factor=2.0).movedim(-1, 1).tanh()


class InTraining(nn.Module):
    """A convolution behind another that only training calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(CHANNELS, CHANNELS, 1), nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.other(x) if self.training else x).tanh()


AWKWARD = (
    Tied, Conditional, ByKeyword, Reused, TwoSizes, OnOneStorage, OfAnotherType, AsSequence,
)  # fmt: skip
"""Blocks that people have and that a walk over modules gets wrong."""

EXACT = (
    Plain, Grouped, Normed, Reused, Tied, ByKeyword, ChannelsLast, SequenceFirst, Windows,
    Conditional, Standardized, Hooked, Depthwise, TwoSizes, OnOneStorage, Kept, OfAnotherType,
    AsSequence, WithArguments, InTraining,
)  # fmt: skip
"""Blocks whose arithmetic is that of their input."""


@dataclass(frozen=True)
class Recipe:
    """What a random network is made of.

    Attributes:
        blocks: Its blocks between a convolution and a product.
        seed: Of its weights, its images and its labels.
        images: How many images go with it.
        training: Whether it is left in training mode.
        dtype: Floating type of the network and of its images.
        keeps: Whether its forward keeps features as an attribute and changes its images in place.
    """

    blocks: tuple[type[nn.Module], ...]
    seed: int = 0
    images: int = 6
    training: bool = False
    dtype: torch.dtype = torch.float32
    keeps: bool = False

    def network(self) -> "RandomNetwork":
        """Build the network; equal recipes give equal ones."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = RandomNetwork(self.blocks, keeps=self.keeps).to(self.dtype)
        arrange(network, follow=False)
        return network.train(self.training)

    def reference(self, dtype: torch.dtype = torch.float32) -> "RandomNetwork":
        """Build the same network to compute with, in eval mode, all of it in one floating type."""
        return reference_of(self.network(), dtype)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Draw images (n, 2, SIDE, SIDE), some of a negative mean, and labels (n,)."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        images = torch.randn(self.images, 2, SIDE, SIDE, generator=generator)
        labels = torch.randint(0, CLASSES, (self.images,), generator=generator)
        return images.to(self.dtype), labels


class RandomNetwork(nn.Module):
    """A convolution, blocks, and a product on the means of the channels.

    Args:
        blocks: What is between the first and the last layer.
        keeps: Whether forward keeps features as an attribute and changes its images in place.
    """

    def __init__(self, blocks: tuple[type[nn.Module], ...], *, keeps: bool = False) -> None:
        super().__init__()
        self.keeps = keeps
        self.stem = nn.Conv2d(2, CHANNELS, 1)
        self.blocks = nn.ModuleList([block() for block in blocks])
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(CHANNELS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        if self.keeps:
            x = x.mul_(0.9)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        if self.keeps:
            self.features = x
        return self.head(self.drop(x.mean((2, 3))))


def recipes(
    blocks: tuple[type[nn.Module], ...] = EXACT,
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64),
    most: int = 3,
) -> strategies.SearchStrategy[Recipe]:
    """Strategy of recipes.

    Args:
        blocks: What the networks may hold.
        dtypes: Floating types that they may have.
        most: Blocks of a network at most.
    """
    return strategies.builds(
        Recipe,
        blocks=strategies.lists(strategies.sampled_from(blocks), max_size=most).map(tuple),
        seed=strategies.integers(0, 99),
        images=strategies.integers(3, 6),
        training=strategies.booleans(),
        dtype=strategies.sampled_from(dtypes),
        keeps=strategies.booleans(),
    )


def arrange(network: nn.Module, *, follow: bool) -> None:
    """Let blocks share memory and have parts of other types, or be one parameter of one type."""
    for block in network.modules():
        if hasattr(block, "arrange"):
            block.arrange(follow=follow)


def reference_of(network: nn.Module, dtype: torch.dtype = torch.float32) -> "RandomNetwork":
    """Copy a network to compute with: in eval mode, all of it in one floating type.

    Values go through float32, in which the network is run.
    """
    copied = copy.deepcopy(network).float().to(dtype).eval()
    arrange(copied, follow=True)
    return copied


def everything_of(network: nn.Module) -> dict[str, object]:
    """Snapshot what no public call may change of a network, and of random states.

    Tensors are copied; compare with `same`.
    """
    return {
        "state": {name: value.detach().clone() for name, value in _tensors(network).items()},
        "identity": {name: id(value) for name, value in _tensors(network).items()},
        "gradients": {
            name: (value.requires_grad, value.grad) for name, value in network.named_parameters()
        },
        "modules": [
            (
                name, module.training, type(module), sorted(vars(module)),
                list(module._forward_hooks), list(module._forward_pre_hooks),
                list(module._backward_hooks),
            )
            for name, module in network.named_modules()
        ],
        "kept": [
            (name, key, id(value), value.detach().clone())
            for name, module in network.named_modules()
            for key, held in vars(module).items()
            for value in (held if isinstance(held, list) else [held])
            if isinstance(value, Tensor)
        ],
        "random": torch.get_rng_state(),
    }  # fmt: skip


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(network.named_parameters(remove_duplicate=False)),
        **dict(network.named_buffers(remove_duplicate=False)),
    }


def same(one: object, other: object) -> bool:
    """Compare two snapshots, bit for bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
