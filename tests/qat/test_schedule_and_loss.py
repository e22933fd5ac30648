"""The learning rate of each step, what decays, and the loss, against torch and by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gp_emq.qat import QatSettings
from gp_emq.qat._loss import training_loss
from gp_emq.qat._network import learnable_network
from gp_emq.qat._schedule import parameter_groups, rate_factor


def test_without_warm_up_the_rate_is_that_of_torchs_cosine() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
    for step in range(7):
        assert rate_factor(step, 7, 0) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        schedule.step()


def test_the_rate_rises_linearly_and_then_falls() -> None:
    factors = [rate_factor(step, 9, 3) for step in range(9)]
    assert factors[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert factors[3:] == pytest.approx([(1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)])


def test_weights_decay_less_at_few_bits_and_nothing_else_decays(task) -> None:
    widths = {layer.name: 2 + place % 3 for place, layer in enumerate(task.network.layers)}
    network = learnable_network(task.network.model, task.start)
    settings = QatSettings(weight_decay=1e-3, step_learning_rate=0.5)
    groups = parameter_groups(network, widths, settings)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(found) == len(list(network.parameters()))
    decay = {2: 0.25e-3, 3: 0.5e-3, 4: 1e-3}
    for layer in task.network.layers:
        module = network.get_submodule(layer.name)
        weight = module.parametrizations.weight
        assert found[id(weight.original)] == (0.01, pytest.approx(decay[widths[layer.name]]))
        assert found[id(weight[0].step)] == found[id(module.input_grid.step)] == (0.5, 0.0)
    assert found[id(network.bn1.weight)] == found[id(network.linear.bias)] == (0.01, 0.0)


@pytest.fixture
def outputs():
    logits, teacher = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    return logits, torch.tensor([0, 3, 1, 1, 2]), teacher


def test_labels_alone_are_cross_entropy(outputs) -> None:
    logits, labels, _ = outputs
    chosen = F.log_softmax(logits, 1)[torch.arange(5), labels]
    assert float(training_loss(logits, labels, None, QatSettings())) == pytest.approx(
        float(-chosen.mean())
    )
    smoothed = 0.9 * -chosen.mean() - 0.1 * F.log_softmax(logits, 1).mean()
    found = training_loss(logits, labels, None, QatSettings(label_smoothing=0.1))
    assert float(found) == pytest.approx(float(smoothed))


def test_distillation_is_the_divergence_times_the_squared_temperature(outputs) -> None:
    logits, labels, teacher = outputs
    p, q = (torch.softmax(values.double() / 3, 1) for values in (teacher, logits))
    divergence = float((p * (p / q).log()).sum(1).mean())
    alone = training_loss(logits, labels, teacher, QatSettings(distillation=1.0, temperature=3.0))
    assert float(alone) == pytest.approx(9 * divergence, rel=1e-5)
    mixed = training_loss(logits, labels, teacher, QatSettings(distillation=0.25, temperature=3.0))
    expected = 0.25 * 9 * divergence + 0.75 * float(F.cross_entropy(logits, labels))
    assert float(mixed) == pytest.approx(expected, rel=1e-5)
