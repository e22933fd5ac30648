"""Speech in sound: Silero's detector of voice, window by window, with a state between them.

The published graph for onnxruntime has the weights; the package's safetensors file has others.
The network is the one that the package describes: magnitudes of a short-time Fourier transform,
four convolutions, a cell that remembers (LSTM), and a last convolution. The weights of the cell
belong to no layer that is quantized here.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.real_models.model import RealModel, beside_float, package, packaged_file
from gp_emq.networks import Workload

INSTALL = "'gp_emq[models]'"
RATE, WINDOW, CONTEXT, WINDOWS = 16_000, 512, 64, 16
"""A window has the last 64 values of the one before it in front."""
SOUNDS = 196
_HALF = 129
_NAMES = {
    "stft.forward_basis_buffer": "basis",
    **{f"encoder.{place}.reparam_conv": f"encoder.{place}" for place in range(4)},
    "decoder.rnn": "memory",
    "decoder.decoder.2": "last",
}
"""Of the parts in the graph, their names here."""
_VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)
"""Resonances in Hz of the vowels of father, beet, boot, bet and bought, as men speak them: Peterson
and Barney, 1952."""


class Silero(nn.Module):
    """From sounds (n, windows, 576) to how likely each window is speech, (n, windows, 1)."""

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("basis", torch.zeros(2 * _HALF, 1, 256))
        widths, strides = pairwise((_HALF, 128, 64, 64, 128)), (1, 2, 2, 1)
        self.encoder = nn.Sequential(
            *(
                nn.Conv1d(inputs, outputs, 3, stride, padding=1)
                for (inputs, outputs), stride in zip(widths, strides, strict=True)
            )
        )
        self.memory, self.last = nn.LSTMCell(128, 128), nn.Conv1d(128, 1, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Go through the windows in turn."""
        state: tuple[Tensor, Tensor] | None = None
        found = []
        for window in windows.unbind(dim=1):
            padded = functional.pad(window, (0, 64), mode="reflect")
            parts = functional.conv1d(padded[:, None], self.basis, stride=128)
            values = (parts[:, :_HALF].square() + parts[:, _HALF:].square()).sqrt()
            for layer in self.encoder:
                values = layer(values).relu()
            state = self.memory(values.squeeze(-1), state)
            found.append(self.last(state[0].relu()[:, :, None]).sigmoid())
        return torch.cat(found, dim=1)


def published() -> dict[str, Tensor]:
    """Read the weights out of the published graph."""
    onnx = package("onnx", INSTALL)
    path = packaged_file("silero_vad", "data/silero_vad_16k_op15.onnx", INSTALL)
    found = {}
    for tensor in onnx.load(path).graph.initializer:
        name = tensor.name.removeprefix("model.")
        for theirs, ours in _NAMES.items():
            if name.startswith(theirs):
                values = np.array(onnx.numpy_helper.to_array(tensor))
                found[ours + name.removeprefix(theirs)] = torch.from_numpy(values)
    return found


def sounds(count: int, seed: int = 0) -> Tensor:
    """Draw sounds like voices, in noise: pulses through the resonances of two vowels.

    Every one begins and ends at a moment of its own, and every fourth is noise alone.

    Args:
        count: How many.
        seed: Of the draws.

    Returns:
        Windows, each with what comes before it, float32 (n, 16, 576).
    """
    numbers = np.random.default_rng(seed)
    length = WINDOW * WINDOWS
    time = np.arange(length) / RATE
    found = np.zeros((count, CONTEXT + length))
    for place in range(count):
        sound = found[place, CONTEXT:]
        if place % 4:
            start, end = np.sort(numbers.uniform(0, length / RATE, 2))
            hertz = numbers.uniform(90, 250) * (
                1 + 0.1 * np.sin(2 * np.pi * numbers.uniform(2, 6) * time)
            )
            pulses = np.diff(np.floor(np.cumsum(hertz) / RATE), prepend=0.0)
            one, other = (voiced(pulses, vowel) for vowel in numbers.choice(_VOWELS, 2))
            mixed = one + (other - one) * time / time[-1]
            sound += mixed / np.abs(mixed).max() * ((start <= time) & (time < end))
            sound *= numbers.uniform(0.05, 0.5)
        sound += numbers.uniform(0.0005, 0.01) * numbers.standard_normal(length)
    windows = np.lib.stride_tricks.sliding_window_view(found, CONTEXT + WINDOW, axis=1)[:, ::WINDOW]
    return torch.from_numpy(windows.astype(np.float32))


def voiced(pulses: NDArray[np.float64], vowel: Sequence[float]) -> NDArray[np.float64]:
    """Send pulses through the resonances of a vowel, each 80 Hz wide."""
    radius = math.exp(-math.pi * 80 / RATE)
    for hertz in vowel:
        back = (1.0, -2 * radius * math.cos(2 * math.pi * hertz / RATE), radius**2)
        pulses = lfilter((1.0,), back, pulses)
    return pulses


def silero() -> Workload:
    """Give the network with its weights, on sounds."""
    model = Silero()
    model.load_state_dict(published())
    return beside_float(model.eval(), sounds(SOUNDS))


MODELS = (RealModel("silero-vad", "how likely each window of a sound is speech, Silero's", silero),)
