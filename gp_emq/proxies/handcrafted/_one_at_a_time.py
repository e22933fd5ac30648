"""What quantizing one entry alone does to the network's answers: dearer and strong."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from gp_emq.determinism import one_thread
from gp_emq.proxies.handcrafted._outputs import CHUNK
from gp_emq.proxies.handcrafted._proxy import ProxyInputs

Harm = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From float logits, quantized logits (n, classes) and labels (n,): a sum over images."""


def output_divergence(inputs: ProxyInputs) -> Tensor:
    """KL divergence of the softmax output from the float network's.

    Source: Cai et al., ZeroQ: A novel zero shot quantization framework, 2020.

    Returns:
        Oriented table −mean KL(p_float ‖ p_quantized), float64 (entries, bits).
    """
    return -_each_entry(inputs, _divergence)


def loss_change(inputs: ProxyInputs) -> Tensor:
    """Change of the mean cross-entropy.

    Returns:
        Oriented table, float64 (entries, bits).
    """
    return -_each_entry(inputs, _loss)


def accuracy_change(inputs: ProxyInputs) -> Tensor:
    """Change of the share of images that are answered rightly.

    Returns:
        Oriented table, float64 (entries, bits); values are coarse, one image is the unit.
    """
    return -_each_entry(inputs, _mistakes)


def _divergence(before: Tensor, after: Tensor, _labels: Tensor) -> Tensor:
    return functional.kl_div(
        after.log_softmax(dim=1), before.log_softmax(dim=1), reduction="sum", log_target=True
    )


def _loss(before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(after, labels, reduction="sum") - functional.cross_entropy(
        before, labels, reduction="sum"
    )


def _mistakes(before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
    right_before = (before.argmax(dim=1) == labels).sum()
    return (right_before - (after.argmax(dim=1) == labels).sum()).double()


def _each_entry(inputs: ProxyInputs, harm: Harm) -> Tensor:
    """Average a harm over images, for each entry at each width, float64 (entries, bits)."""
    statistics, model = inputs.statistics, inputs.model
    device = next(model.parameters()).device
    entries = 1 + max(layer.entry for layer in statistics.layers)
    table = torch.zeros(entries, len(statistics.bits), dtype=torch.float64)
    with one_thread(), torch.no_grad():
        for place, images in enumerate(torch.split(inputs.images, CHUNK)):
            part = images.to(device)
            before = model(part).double()
            if inputs.labels is None:
                labels = before.argmax(dim=1)
            else:
                labels = inputs.labels[place * CHUNK : place * CHUNK + len(part)].to(device)
            for entry in range(entries):
                for column, width in enumerate(statistics.bits):
                    after = functional_call(model, _quantized(inputs, entry, width), (part,))
                    table[entry, column] += harm(before, after.double(), labels).cpu()
    return table / len(inputs.images)


def _quantized(inputs: ProxyInputs, entry: int, width: int) -> dict[str, Tensor]:
    """The weights of one entry's layers, quantized, by parameter name."""
    state = {}
    for layer in inputs.statistics.layers:
        if layer.entry == entry:
            weight = inputs.model.get_parameter(f"{layer.name}.weight").detach()
            change = inputs.perturbations[layer.name, width].to(weight.device)
            state[f"{layer.name}.weight"] = weight + change
    return state
