"""Proxies that run whole configurations, or pairs of layers: they rank, and make no table."""

import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.networks import Samples, in_double, undisturbed
from gp_emq.proxies._inputs import ProxyInputs
from gp_emq.proxies.handcrafted._one_at_a_time import (
    answered_parts,
    check_loss_of,
    quantized_entry,
)
from gp_emq.statistics import Noise

FloatArray = NDArray[np.float64]

NOISE = Noise(level=0.5, draws=4)
"""What images have on them for `noised_divergence`."""


def plan_divergence(inputs: ProxyInputs, configurations: NDArray[np.integer]) -> FloatArray:
    """Divergence of the outputs of the network that is quantized by the configuration.

    One pass over the calibration images for each, with weights and batch norms as the recipe
    leaves them.

    Returns:
        −mean KL(p_float ‖ p_quantized), (n,).
    """
    return -inputs.origin.divergences(configurations, None)


def noised_divergence(inputs: ProxyInputs, configurations: NDArray[np.integer]) -> FloatArray:
    """Divergence of the outputs, as `plan_divergence`, on images with noise on them.

    Each calibration image counts four times, with Gaussian noise of half of the images' standard
    deviation: four passes for each configuration. It ranks better than without noise where the
    network knows nearly all of the images (docs/formulas.md).

    Returns:
        −mean KL(p̃_float ‖ p̃_quantized), (n,).
    """

    def measure(inputs: ProxyInputs) -> FloatArray:
        return -inputs.origin.divergences(configurations, NOISE)

    return inputs.once(f"noised divergences of {configurations.tolist()}", measure)


def clado(inputs: ProxyInputs, configurations: NDArray[np.integer]) -> FloatArray:
    """Second-order change of the loss by single entries and by pairs of them.

    Each entry at each width alone, and every two at every two widths, are run forward; what two
    make beyond both is twice their term of the matrix, whose negative eigenvalues are left out.

    Source: Deng et al., Mixed-precision quantization with cross-layer dependencies, 2023.

    Returns:
        −½ αᵀGα, α being 1 at each entry's width, (n,).
    """
    bits = inputs.statistics.bits
    matrix = inputs.once("pairs of entries", _curvature)
    values, vectors = np.linalg.eigh(matrix)
    positive = (vectors * values.clip(min=0)) @ vectors.T
    places = np.searchsorted(bits, configurations)
    chosen = np.arange(configurations.shape[1]) * len(bits) + places
    harms: FloatArray = positive[chosen[:, :, None], chosen[:, None, :]].sum(axis=(1, 2)) / 2
    return -harms


def _curvature(inputs: ProxyInputs) -> FloatArray:
    """Measure ΔWᵀHΔW of every two entries at every two widths, (entries · bits, the same)."""
    check_loss_of(inputs)
    bits, workload = inputs.statistics.bits, inputs.workload
    entries = 1 + max(layer.entry for layer in inputs.statistics.layers)
    states = [quantized_entry(inputs, entry, width) for entry in range(entries) for width in bits]
    pairs = [
        (one, other)
        for one, other in itertools.combinations(range(len(states)), 2)
        if one // len(bits) != other // len(bits)
    ]
    plain, alone = 0.0, np.zeros(len(states))
    both = np.zeros(len(pairs))
    with undisturbed(), torch.no_grad():
        for samples, before, targets in answered_parts(inputs):

            def lost(
                state: dict[str, Tensor],
                samples: Samples = samples,
                before: Any = before,
                targets: Samples = targets,
            ) -> float:
                after = in_double(inputs.outputs(samples, state))
                return float(workload.loss_beside(before, after, targets))

            plain += lost({})
            alone += [lost(state) for state in states]
            both += [lost({**states[one], **states[other]}) for one, other in pairs]
    alone = (alone - plain) / len(workload)
    found = np.diag(2 * alone)
    for (one, other), together in zip(pairs, (both - plain) / len(workload), strict=True):
        found[one, other] = found[other, one] = together - alone[one] - alone[other]
    return found
