"""Rounding to nearest, and biases moved by what rounding changes."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.networks import undisturbed
from gp_emq.quantization._moments import channel_means
from gp_emq.quantization._rounding import channel_axis
from gp_emq.quantization.recipes._recipe import Recipe, RoundedNetwork
from gp_emq.quantization.recipes._task import Task
from gp_emq.quantization.recipes.rtn import round_to_nearest


def correct_biases(task: Task) -> Callable[[RoundedNetwork], None]:
    """Move the biases of layers by the difference between float and rounded network.

    In forward order, every output channel of a layer with a bias gets the mean, over the
    calibration images and all positions, that it has in the float network: the errors of a rounded
    weight do not cancel where inputs have a mean, as they have after a ReLU. What comes before a
    layer is corrected already. A layer that a pass calls several times, or that shares its bias, is
    corrected for each call, and its bias moves by the mean of all in the end. Layers without a bias
    stay as they are, and so does a channel whose mean is not finite.

    Source: Nagel et al., Data-free quantization through weight equalization and bias correction,
    2019, with means that are measured.
    """
    names = [layer.name for layer in task.layers]
    with undisturbed(), torch.no_grad(), _seeing(_with_biases(task.network.model, names)) as means:
        task.network.run(task.images)
    floating = dict(means)

    def correct(rounded: RoundedNetwork) -> None:
        modules = _with_biases(rounded.model, names)

        def shift(number: int, call: int, mean: Tensor) -> Tensor:
            if call >= len(floating.get(number, [])):
                return torch.zeros_like(mean)
            change = floating[number][call].to(mean) - mean
            return torch.where(change.isfinite(), change, 0.0)

        with undisturbed(), torch.no_grad(), _seeing(modules, shift) as shifts:
            rounded.run(task.images)
        together: dict[int, list[Tensor]] = defaultdict(list)
        for number, of_calls in shifts.items():
            together[id(modules[number].bias)] += of_calls
        biases = {id(module.bias): module.bias for module in modules.values()}
        for key, of_calls in together.items():
            bias = biases[key]
            assert isinstance(bias, Tensor)  # noqa: S101 - `_with_biases` asks for it
            # Rebound, not changed in place: others may hold on to the numbers of before.
            bias.data = bias.data + torch.stack(of_calls).mean(0).to(bias)

    return correct


def _with_biases(model: nn.Module, names: Sequence[str]) -> dict[int, nn.Module]:
    """Give the layers that have a bias by their places."""
    modules = {place: model.get_submodule(name) for place, name in enumerate(names)}
    return {
        place: module
        for place, module in modules.items()
        if isinstance(getattr(module, "bias", None), nn.Parameter)
    }


@contextlib.contextmanager
def _seeing(
    modules: dict[int, nn.Module], shift: Callable[[int, int, Tensor], Tensor] | None = None
) -> Iterator[dict[int, list[Tensor]]]:
    """Inside the block, look at what layers give, and shift it where that is asked.

    Gives, for each call of a layer, the mean of its output channels, float64 (channels,), or by how
    much they were shifted.
    """
    found: dict[int, list[Tensor]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        for number, module in modules.items():

            def see(
                module: nn.Module, _arguments: tuple[Any, ...], output: Tensor, number: int = number
            ) -> Tensor | None:
                axis = channel_axis(module, output)
                mean = channel_means(output, axis)
                if shift is None:
                    found[number].append(mean)
                    return None
                change = shift(number, len(found[number]), mean)
                found[number].append(change)
                after = output.dim() - 1 - axis % output.dim()
                return output + change.to(output).view(-1, *[1] * after)

            stack.callback(module.register_forward_hook(see, prepend=True).remove)
        yield found


RECIPE = Recipe(
    "rtn+bias-correction",
    "rounding to nearest, biases moved by what rounding changes on the images",
    round_to_nearest,
    correct=correct_biases,
    moves_biases=True,
)
