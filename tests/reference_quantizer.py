"""Quantized networks computed otherwise: hooks and loops over a float copy, in float64 grids."""

from collections import defaultdict

import torch
from random_networks import reference_of
from torch import Tensor, nn


def row_grids(weight: Tensor, bits: int) -> Tensor:
    """Min-max grid values nearest to each weight, one symmetric grid for each output channel."""
    rounded = torch.empty_like(weight)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    for channel, row in enumerate(weight):
        largest = float(row.abs().max())
        scale = torch.tensor(2 * largest / (2**bits - 1) if largest else 1.0)
        # The largest weight lies half way between two steps: torch's own operator, which
        # multiplies by 1 / scale, may round it to the other.
        rounded[channel] = scale * (row / scale).round().clamp(low, high)
    return rounded


def reference(model: nn.Module, widths: dict[str, int], images: Tensor, activation_bits: int):
    """A copy of a network that rounds as rounding to nearest with min-max grids should.

    Args:
        model: Left alone.
        widths: By name of the layer.
        images: That choose the grids of inputs, one by one.
        activation_bits: Of the inputs of layers; 32 for none.
    """
    copied = reference_of(model)
    modules = {name: copied.get_submodule(name) for name in widths}
    seen: dict[str, list[Tensor]] = defaultdict(list)

    def watch(name):
        def hook(_module, arguments, named):
            values = arguments[0] if arguments else next(iter(named.values()))
            seen[name].append(values.detach().flatten())

        return hook

    def rounding(scale, zero, high):
        def hook(_module, arguments, named):
            values = arguments[0] if arguments else next(iter(named.values()))
            values = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, high)
            return ((values, *arguments[1:]), named) if arguments else ((), {"input": values})

        return hook

    if activation_bits < 32:
        handles = [
            module.register_forward_pre_hook(watch(name), with_kwargs=True)
            for name, module in modules.items()
        ]
        with torch.no_grad():
            for image in images.float():
                copied(image[None].clone())
        for handle in handles:
            handle.remove()
    done = set()
    for name, module in modules.items():
        if id(module.weight) not in done:
            module.weight.data = row_grids(module.weight.data, widths[name])
            done.add(id(module.weight))
        if activation_bits < 32:
            values, high = torch.cat(seen[name]).double(), 2**activation_bits - 1
            least, most = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
            scale = float(torch.tensor((most - least) / high)) or 1.0
            zero = round(-least / scale)
            module.register_forward_pre_hook(rounding(scale, zero, high), with_kwargs=True)
    return copied
