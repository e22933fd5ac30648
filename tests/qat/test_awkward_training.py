"""Training of networks that people have: shared weights, layers called now and then, by keyword."""

import pytest
import torch
from random_networks import (
    AWKWARD,
    Kept,
    Recipe,
    Tied,
    WithArguments,
    everything_of,
    same,
)
from reference_training import trained as by_hand
from torch import nn

import gp_emq
from gp_emq.determinism import one_thread
from gp_emq.errors import DataError, TrainingError
from gp_emq.networks import Workload, find_layers
from gp_emq.qat import QatSettings, Samples, TensorImages, train, warm_start
from gp_emq.qat._samples import PreparedImages, WorkloadSamples
from gp_emq.quantization import quantize

COUNT, RATE, STEP_RATE = 12, 0.2, 1e-2
KINDS = (*AWKWARD, WithArguments)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def made(*blocks, **changes):
    """A network without dropout, and its batch."""
    recipe = Recipe(blocks, images=COUNT, seed=3, **changes)
    network, reference = recipe.network(), recipe.reference()
    network.drop, reference.drop = nn.Identity(), nn.Identity()
    return network, reference, *recipe.batch()


def settings(epochs):
    return QatSettings(
        epochs=epochs,
        batch=COUNT,
        learning_rate=RATE,
        step_learning_rate=STEP_RATE,
        momentum=0.0,
        weight_decay=0.0,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epochs", [1, 2])
def test_steps_are_those_of_plain_autograd(kind, epochs) -> None:
    network, reference, images, labels = made(kind)
    layers = find_layers(network, images)
    widths = {layer.name: 8 for layer in layers}
    start = warm_start(network, layers, widths, images, settings(epochs))
    before, pictures = everything_of(network), images.clone()
    samples = Samples(TensorImages(images, labels))
    found = train(network, layers, widths, start, samples, settings=settings(epochs), quiet=True)
    assert same(before, everything_of(network))
    assert torch.equal(images, pictures)
    # Half a cosine over the steps: the whole rate, then half of it.
    rates = [(RATE, STEP_RATE), (RATE / 2, STEP_RATE / 2)][:epochs]
    values, steps, owner = by_hand(reference, start, images, labels, rates)
    for name, weight in found.weights.items():
        scale, grid = steps[owner[name], "weight"], weight.parameters
        first = start.weights[name].parameters.scale
        torch.testing.assert_close(grid.scale - first, scale - first, rtol=1e-2, atol=1e-7)
        right = quantize(values[owner[name]].float(), grid)
        off = (weight.integers - right).abs()
        assert float(off.max()) <= 1
        assert float(off.mean()) < 0.03
    for name, grid in found.activations.items():
        first = start.activations[name].scale
        torch.testing.assert_close(
            grid.scale - first, steps[name, "input"] - first, rtol=1e-2, atol=1e-7
        )
    biases = [name for name in values if name.endswith("bias")]
    state = dict(found.network.named_parameters(remove_duplicate=False))
    for name in biases:
        torch.testing.assert_close(state[name], values[name], rtol=1e-4, atol=1e-6)


def test_a_weight_that_the_network_keeps_is_refused_in_one_line() -> None:
    network, _, images, labels = made(Kept)
    layers = find_layers(network, images)
    widths = {layer.name: 3 for layer in layers}
    start = warm_start(network, layers, widths, images, settings(1))
    samples = Samples(TensorImages(images, labels))
    with pytest.raises(
        TrainingError, match=r"'blocks\.0\.product' is in 'blocks\.0\.kept"
    ) as error:
        train(network, layers, widths, start, samples, settings=settings(1), quiet=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("label", [3, 99, -1])
def test_labels_that_are_no_classes_are_refused_before_anything_is_trained(label, tmp_path) -> None:
    network, _, images, labels = made(Tied)
    layers = find_layers(network, images)
    widths = {layer.name: 3 for layer in layers}
    start = warm_start(network, layers, widths, images, settings(1))
    labels[7] = label
    given = (
        Samples(TensorImages(images, labels)),
        WorkloadSamples(Workload(network, images, labels)),
    )
    for samples in given:
        with pytest.raises(DataError, match="labels must be 0 to 2") as error:
            train(
                network, layers, widths, start, samples, settings=settings(1), quiet=True,
                folder=tmp_path / "run",
            )  # fmt: skip
        assert "\n" not in str(error.value)
        assert not (tmp_path / "run").exists()
    test = PreparedImages(TensorImages(images, labels))
    right = Samples(TensorImages(images, torch.zeros_like(labels)))
    with pytest.raises(DataError, match="labels must be 0 to 2"):
        train(network, layers, widths, start, right, settings=settings(1), quiet=True, test=test)


def test_one_logit_is_refused_where_a_loss_is_needed() -> None:
    network, _, images, _ = made()
    network.head = nn.Linear(4, 1)
    layers = find_layers(network, images)
    widths = {layer.name: 3 for layer in layers}
    start = warm_start(network, layers, widths, images, settings(1))
    samples = Samples(TensorImages(images, torch.zeros(COUNT, dtype=torch.int64)))
    with pytest.raises(gp_emq.errors.GpEmqError, match="two classes or more") as error:
        train(network, layers, widths, start, samples, settings=settings(1), quiet=True)
    assert "\n" not in str(error.value)


class Source:
    """Images of one's own, whose labels nobody sees before they are fetched."""

    def __len__(self) -> int:
        return COUNT

    def fetch(self, index):
        return torch.ones(2, 4, 4), 7 if index == 5 else 0

    def fingerprint(self) -> str:
        return "ones"


def test_labels_that_are_seen_late_are_refused_when_they_are_seen() -> None:
    network, _, images, _ = made()
    layers = find_layers(network, images)
    widths = {layer.name: 3 for layer in layers}
    start = warm_start(network, layers, widths, images, settings(1))
    with pytest.raises(DataError, match="labels must be 0 to 2, those of the training images"):
        train(network, layers, widths, start, Samples(Source()), settings=settings(1), quiet=True)
    alone = QatSettings(epochs=1, batch=COUNT, distillation=1.0)
    train(network, layers, widths, start, Samples(Source()), settings=alone, quiet=True)
