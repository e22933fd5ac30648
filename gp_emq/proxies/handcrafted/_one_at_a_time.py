"""What quantizing one entry alone does to the network's answers: dearer and strong."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gp_emq.networks import undisturbed
from gp_emq.proxies._inputs import ProxyInputs
from gp_emq.statistics import check_classes


@dataclass(frozen=True)
class _Harms:
    """Mean harm over the images, float64 (entries, bits) each."""

    divergence: Tensor
    loss: Tensor
    mistakes: Tensor


def output_divergence(inputs: ProxyInputs) -> Tensor:
    """KL divergence of the softmax output from the float network's.

    Source: Cai et al., ZeroQ: A novel zero shot quantization framework, 2020.

    Returns:
        Oriented table −mean KL(p_float ‖ p_quantized), float64 (entries, bits).
    """
    return -inputs.once("one at a time", _harms).divergence


def loss_change(inputs: ProxyInputs) -> Tensor:
    """Change of the mean cross-entropy.

    Returns:
        Oriented table, float64 (entries, bits).
    """
    return -inputs.once("one at a time", _harms).loss


def accuracy_change(inputs: ProxyInputs) -> Tensor:
    """Change of the share of images that are answered rightly.

    Returns:
        Oriented table, float64 (entries, bits); values are coarse, one image is the unit.
    """
    return -inputs.once("one at a time", _harms).mistakes


def _harms(inputs: ProxyInputs) -> _Harms:
    """Quantize each entry at each width alone, and run the calibration images through."""
    statistics, network = inputs.statistics, inputs.network
    entries = 1 + max(layer.entry for layer in statistics.layers)
    table = torch.zeros(entries, len(statistics.bits), 3, dtype=torch.float64)
    chunk = inputs.chunk
    with undisturbed(), torch.no_grad():
        for place, images in enumerate(torch.split(inputs.images, chunk)):
            before = check_classes(inputs.logits(images)).double()
            if inputs.labels is None:
                labels = before.argmax(dim=1)
            else:
                labels = inputs.labels[place * chunk : place * chunk + len(images)].to(
                    network.device
                )
            for entry in range(entries):
                for column, width in enumerate(statistics.bits):
                    after = inputs.logits(images, _quantized(inputs, entry, width))
                    table[entry, column] += _harm(before, after.double(), labels).cpu()
    return _Harms(*(table / len(inputs.images)).unbind(dim=2))


def _harm(before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
    """Divergence, rise of the loss and new mistakes, summed over images (n, classes): (3,)."""
    divergence = functional.kl_div(
        after.log_softmax(dim=1), before.log_softmax(dim=1), reduction="sum", log_target=True
    )
    loss = functional.cross_entropy(after, labels, reduction="sum") - functional.cross_entropy(
        before, labels, reduction="sum"
    )
    mistakes = (before.argmax(dim=1) == labels).sum() - (after.argmax(dim=1) == labels).sum()
    return torch.stack([divergence, loss, mistakes.double()])


def _quantized(inputs: ProxyInputs, entry: int, width: int) -> dict[str, Tensor]:
    """The weights of one entry's layers, quantized, by parameter name."""
    state = {}
    for layer in inputs.statistics.layers:
        if layer.entry == entry and not layer.shares:
            weight = inputs.network.parameters[f"{layer.name}.weight"].detach()
            change = inputs.perturbations[layer.name, width].to(weight.device)
            state[f"{layer.name}.weight"] = weight + change
    return state
