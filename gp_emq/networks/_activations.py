"""How large the activations are that a layer takes and gives at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.networks._layer import Layer
from gp_emq.networks._running import undisturbed
from gp_emq.networks._samples import split
from gp_emq.networks._watching import input_of
from gp_emq.networks._workload import Workload


def activation_elements(workload: Workload, layers: Sequence[Layer]) -> dict[str, tuple[int, int]]:
    """Count the numbers that go into each layer, and that come out of it, for one sample.

    Args:
        workload: A network and its samples; the most of those that are given counts, so that one
            is enough where all have one shape.
        layers: The network's layers.

    Returns:
        Elements of input and output by name of the layer, of the call with the most together;
        indices that an embedding takes count nothing.
    """
    network = workload.private()
    most = {layer.name: (0, 0) for layer in layers}
    handles = [
        network.model.get_submodule(name).register_forward_hook(
            _recorder(most, name), with_kwargs=True
        )
        for name in most
    ]
    try:
        with undisturbed(), torch.no_grad():
            for sample in split(workload.samples, 1):
                network.run(sample)
    finally:
        for handle in handles:
            handle.remove()
    return most


def _recorder(most: dict[str, tuple[int, int]], name: str) -> Any:
    def record(
        module: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any], output: Any
    ) -> None:
        if isinstance(output, Tensor):
            # Indices are whole numbers, whatever the width of activations.
            taken = 0 if isinstance(module, nn.Embedding) else input_of(arguments, named).numel()
            found = (taken, output.numel())
            most[name] = max(most[name], found, key=sum)

    return record
