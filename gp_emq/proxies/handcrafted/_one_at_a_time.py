"""What quantizing one entry alone does to the network's answers: dearer and strong."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from gp_emq.networks import (
    Samples,
    Workload,
    check_classes,
    count,
    in_double,
    split,
    undisturbed,
)
from gp_emq.proxies._inputs import ProxyInputs


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

    Raises:
        StatisticsError: A loss of one's own compares samples of a batch.
    """
    check_loss_of(inputs)
    return -inputs.once("one at a time", _harms).loss


def accuracy_change(inputs: ProxyInputs) -> Tensor:
    """Change of the share of images that are answered rightly.

    Returns:
        Oriented table, float64 (entries, bits); values are coarse, one image is the unit.

    Raises:
        StatisticsError: A metric of one's own compares samples of a batch.
    """
    inputs.workload.check_metric(inputs.outputs)
    return -inputs.once("one at a time", _harms).mistakes


def check_loss_of(inputs: ProxyInputs) -> None:
    """Refuse a loss of one's own that compares samples of a batch.

    Raises:
        StatisticsError: It does.
    """
    workload = inputs.workload
    if workload.targets is not None:
        workload.check_loss(inputs.outputs, workload.targets)


def _harms(inputs: ProxyInputs) -> _Harms:
    """Quantize each entry at each width alone, and run the calibration images through."""
    statistics, workload = inputs.statistics, inputs.workload
    entries = 1 + max(layer.entry for layer in statistics.layers)
    table = torch.zeros(entries, len(statistics.bits), 3, dtype=torch.float64)
    with undisturbed(), torch.no_grad():
        for samples, before, targets in answered_parts(inputs):
            for entry in range(entries):
                for column, width in enumerate(statistics.bits):
                    state = quantized_entry(inputs, entry, width)
                    after = in_double(inputs.outputs(samples, state))
                    table[entry, column] += _harm(workload, before, after, targets).cpu()
    return _Harms(*(table / len(workload)).unbind(dim=2))


def answered_parts(inputs: ProxyInputs) -> Iterator[tuple[Samples, Any, Samples]]:
    """Give the calibration samples in parts: each with the float network's outputs, and targets.

    Where there are no targets, what the float network says stands for them.
    """
    workload, chunk = inputs.workload, inputs.chunk
    parts = () if workload.targets is None else split(workload.targets, chunk)
    for place, samples in enumerate(split(workload.samples, chunk)):
        before = in_double(inputs.outputs(samples))
        targets = (
            check_classes(workload.matrix(before, count(samples))).argmax(dim=1)
            if workload.targets is None
            else _on(inputs.network.device, parts[place])
        )
        yield samples, before, targets


def _harm(workload: Workload, before: Any, after: Any, targets: Samples) -> Tensor:
    """Divergence, rise of the loss and loss of the metric, summed over samples: (3,)."""
    samples = count(targets)
    divergence = workload.divergence(before, after, samples)
    then, now = (workload.loss_beside(before, outputs, targets) for outputs in (before, after))
    loss = now - then
    return torch.stack(
        [divergence.double(), loss.double(), _worse(workload, before, after, targets)]
    )


def _worse(workload: Workload, before: Any, after: Any, targets: Samples) -> Tensor:
    """How much worse the metric is, summed over samples, in its own direction."""
    found, then = (workload.values(outputs, targets).double() for outputs in (before, after))
    change = found - then if workload.metric.higher_is_better else then - found
    return change.sum() if workload.metric.per_sample else change * count(targets)


def _on(device: torch.device, targets: Samples) -> Any:
    return _pytree.tree_map_only(Tensor, lambda x: x.to(device), targets)


def quantized_entry(inputs: ProxyInputs, entry: int, width: int) -> dict[str, Tensor]:
    """The weights of one entry's layers, quantized, by parameter name."""
    state = {}
    for layer in inputs.statistics.layers:
        if layer.entry == entry and not layer.shares:
            weight = inputs.network.parameters[f"{layer.name}.weight"].detach()
            change = inputs.perturbations[layer.name, width].to(weight.device)
            state[f"{layer.name}.weight"] = weight + change
    return state
