"""What is measured around the lowest uniform width at which a network works."""

import numpy as np
import pytest
import torch
from torch import nn

import gp_emq
from gp_emq.networks import Metric, Workload
from gp_emq.statistics import Statistics

COUNT = 24


def network(seed: int, scale: float = 1.0) -> nn.Module:
    """A network whose last layer is scaled: large logits are sure of themselves."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = nn.Sequential(
            nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 4)
        ).eval()
    with torch.no_grad():
        made[-1].weight.mul_(scale)
    return made


SAMPLES = 2 * torch.randn(COUNT, 6, generator=torch.Generator().manual_seed(1))


def squared(outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return (outputs - wanted).square().mean(1)


def classifier(model: nn.Module) -> Workload:
    return Workload(model, SAMPLES, forward=lambda one, x: one(x))


def regression(model: nn.Module) -> Workload:
    wanted = torch.randn(COUNT, 4, generator=torch.Generator().manual_seed(2))
    metric = Metric("squared error", squared, higher_is_better=False)
    return Workload(model, (SAMPLES, wanted), loss=squared, metric=metric)


def answers(model: nn.Module, statistics: Statistics, places: dict[int, int]) -> np.ndarray:
    """Outputs with each layer that is named at the width of a place, (n, 4)."""
    changes = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    layers = [module for module in model if isinstance(module, nn.Linear)]
    hidden = SAMPLES.double()
    for number, layer in enumerate(layers):
        weight = layer.weight.detach().double()
        if number in places:
            weight = weight + changes[number][places[number]]
        hidden = hidden @ weight.T + layer.bias.detach()
        hidden = hidden.relu() if layer is not layers[-1] else hidden
    return hidden.detach().numpy()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def of_classes(before: np.ndarray, after: np.ndarray) -> float:
    p, q = log_softmax(before), log_softmax(after)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def of_numbers(before: np.ndarray, after: np.ndarray) -> float:
    return float(((before - after) ** 2).sum(axis=1).mean())


def knows_nothing(before: np.ndarray, *, logits: bool) -> np.ndarray:
    mean = np.log(np.exp(log_softmax(before)).mean(axis=0)) if logits else before.mean(axis=0)
    return np.broadcast_to(mean, before.shape)


@pytest.mark.parametrize("logits", [True, False])
def test_it_is_the_lowest_width_that_explains_half_and_else_the_float_network(logits):
    divergence = of_classes if logits else of_numbers
    chosen = set()
    for scale, bits in ((1, (3, 4)), (20, (2, 3, 4)), (20, (2, 4)), (20, (2,))):
        model = network(0, scale)
        workload = classifier(model) if logits else regression(model)
        statistics = gp_emq.collect_statistics(workload, bits=bits)
        before = answers(model, statistics, {})
        most = divergence(before, knows_nothing(before, logits=logits))
        bases = [dict.fromkeys(range(3), place) for place in range(len(bits))]
        shares = [1 - divergence(before, answers(model, statistics, base)) / most for base in bases]
        sound = [place for place, share in enumerate(shares) if share >= 0.5]
        base = bases[sound[0]] if sound else {}
        chosen.add(sound[0] if sound else None)
        start = divergence(before, answers(model, statistics, base))
        found = statistics.tensor("recipe_divergence_sound")
        for entry in range(3):
            for place in range(len(bits)):
                there = answers(model, statistics, {**base, entry: place})
                expected = divergence(before, there) - start
                assert float(found[entry, place]) == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert {0, 1, None} <= chosen


def test_where_the_lowest_width_works_it_is_what_is_measured_there():
    statistics = gp_emq.collect_statistics(classifier(network(0)), bits=(6, 8))
    sound, low = (statistics.tensor(f"recipe_divergence_{where}") for where in ("sound", "low"))
    assert torch.equal(sound, low)


def test_a_network_that_answers_the_same_to_all_works_at_every_width():
    model = network(0)
    with torch.no_grad():
        model[-1].weight.zero_()
    statistics = gp_emq.collect_statistics(classifier(model), bits=(2, 3))
    assert not statistics.tensor("recipe_divergence_sound").any()
