"""Training computed otherwise: plain autograd on a copy, with straight-through rounding."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def rounded(x: Tensor, step: Tensor, grid, values: int) -> Tensor:
    """Round to a grid as LSQ differentiates it: straight through, and by the step.

    Args:
        x: Any shape.
        step: Of the grid, broadcast.
        grid: Its zero point and integers.
        values: How many share a step, which scales its gradient.
    """
    factor = 1 / math.sqrt(max(values, 1) * max(grid.quant_max, 1))
    step = step * factor + (step - step * factor).detach()
    low, high = grid.quant_min - grid.zero_point, grid.quant_max - grid.zero_point
    inside = torch.clamp(x / step, low, high)
    return (inside + (inside.round() - inside).detach()) * step


def trained(model, quantized, images, labels, rates: list[tuple[float, float]]):
    """Descend on all images at once, step by step.

    Args:
        model: The reference network, one parameter where weights are shared; left as it is.
        quantized: What training starts from.
        images: All of them.
        labels: Theirs.
        rates: Of each step, for parameters and for the steps of grids.

    Returns:
        Parameters by name, and steps by (name, "weight" or "input"), after the last step.
    """
    values = {name: value.detach().clone() for name, value in model.named_parameters()}
    steps: dict[tuple[str, str], Tensor] = {}
    names = dict(model.named_parameters(remove_duplicate=False))
    first = {id(value): name for name, value in model.named_parameters()}
    owner = {name: first[id(names[f"{name}.weight"])] for name in quantized.weights}
    for name, weight in quantized.weights.items():
        steps.setdefault((owner[name], "weight"), weight.parameters.scale.clone())
    for name, grid in quantized.activations.items():
        steps[name, "input"] = grid.scale.clone()
    least = {key: value / 1000 for key, value in steps.items()}
    for rate, step_rate in rates:
        leaves = {name: value.requires_grad_() for name, value in values.items()}
        sizes = {key: value.requires_grad_() for key, value in steps.items()}
        state, hooks = _rounded_state(quantized, leaves, sizes, owner)
        outputs = _run(model, images, state, hooks)
        loss = functional.cross_entropy(outputs, labels)
        every = [*leaves.values(), *sizes.values()]
        slopes = torch.autograd.grad(loss, every, materialize_grads=True)
        each = [rate] * len(leaves) + [step_rate] * len(sizes)
        moved = [
            (value - by * slope).detach()
            for value, slope, by in zip(every, slopes, each, strict=True)
        ]
        values = dict(zip(leaves, moved, strict=False))
        # No step gets below a thousandth of what it was.
        steps = {
            key: torch.maximum(value, least[key])
            for key, value in zip(sizes, moved[len(leaves) :], strict=True)
        }
    return values, steps, owner


def _rounded_state(quantized, leaves, sizes, owner):
    """Parameters with weights on their grids, and a hook for each rounded input."""
    state = dict(leaves)
    for name, weight in quantized.weights.items():
        grid, key = weight.parameters, owner[name]
        values = leaves[key].numel() // grid.scale.numel()
        state[key] = rounded(leaves[key], sizes[key, "weight"], grid, values)
    hooks = {
        name: _rounding(sizes[name, "input"], grid) for name, grid in quantized.activations.items()
    }
    return state, hooks


def _run(model, images, state, hooks) -> Tensor:
    handles = [
        model.get_submodule(name).register_forward_pre_hook(hook, with_kwargs=True)
        for name, hook in hooks.items()
    ]
    try:
        return torch.func.functional_call(model, state, (images.clone(),))
    finally:
        for handle in handles:
            handle.remove()


def _rounding(step: Tensor, grid) -> Callable[..., object]:
    def hook(_module: nn.Module, arguments, named):
        x = arguments[0] if arguments else named["input"]
        x = rounded(x, step, grid, x[0].numel())
        return ((x, *arguments[1:]), named) if arguments else ((), {**named, "input": x})

    return hook
