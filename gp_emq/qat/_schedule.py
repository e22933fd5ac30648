"""The learning rate of every step, and the groups of parameters it applies to."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from gp_emq.qat._learned_grid import LearnedGrid
from gp_emq.qat._settings import WEIGHT_DECAY_SHARES, QatSettings


def rate_factor(step: int, steps: int, warm_up: int) -> float:
    """Return what share of the highest learning rate a step has.

    It rises linearly, reaching the highest with the first step after the warm-up, and falls
    along half a cosine that would reach zero with the first step after the last.

    Args:
        step: 0-based.
        steps: Of the whole training.
        warm_up: Steps of the rise.
    """
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def parameter_groups(
    network: nn.Module, widths: Mapping[str, int], settings: QatSettings
) -> list[dict[str, Any]]:
    """Sort the parameters of a network with learned grids for the optimizer.

    Args:
        network: As `learnable_network` makes it.
        widths: Width of the weight by name of the layer.
        settings: The learning rates and the weight decay.

    Returns:
        Groups of `params` with `lr`, the highest learning rate, and `weight_decay`.
    """
    rate = settings.learning_rate
    step_rate = rate if settings.step_learning_rate is None else settings.step_learning_rate
    decaying: dict[float, list[nn.Parameter]] = {}
    steps: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    sorted_ones: set[int] = set()
    for path, module in network.named_modules():
        layer = path.removesuffix(".parametrizations.weight")
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in sorted_ones:
                continue  # layers share it: the optimizer would take every step twice
            sorted_ones.add(id(parameter))
            if isinstance(module, LearnedGrid):
                steps.append(parameter)
            elif parameter.dim() > 1 and name in ("weight", "original"):
                share = WEIGHT_DECAY_SHARES.get(widths.get(layer, 0), 1.0)
                decaying.setdefault(share, []).append(parameter)
            else:
                others.append(parameter)
    groups = [
        {"params": decaying[share], "lr": rate, "weight_decay": share * settings.weight_decay}
        for share in sorted(decaying)
    ]
    groups.append({"params": others, "lr": rate, "weight_decay": 0.0})
    groups.append({"params": steps, "lr": step_rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]
