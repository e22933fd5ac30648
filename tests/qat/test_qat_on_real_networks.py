"""ResNet-20 with its published weights: a few steps at 2 and 3 bits bring most of it back."""

import os
from pathlib import Path

import pytest
import torch

from gp_emq.networks import Augmentation, load_images, load_network
from gp_emq.qat import QatSettings, Samples, TensorImages, train, warm_start
from gp_emq.qat._evaluation import evaluate
from gp_emq.qat._processes import joined_processes
from gp_emq.qat._samples import PreparedImages

DATA = Path(os.environ.get("GP_EMQ_DATA", Path(__file__).parents[3] / "shared" / "data"))
WEIGHTS = DATA / "cifar10" / "resnet20-12fca82f.th"
IMAGES = DATA / "cifar10" / "train_a.npz"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (WEIGHTS.is_file() and IMAGES.is_file()),
        reason=f"no published weights and images at {DATA}/cifar10: set GP_EMQ_DATA",
    ),
]


def test_eight_steps_at_two_and_three_bits() -> None:
    network = load_network("resnet20", WEIGHTS)
    images = load_images("cifar10", [IMAGES], part="training")
    assert images is not None
    source, held_out = (images.subset(torch.arange(*part)) for part in ((512,), (9000, 9300)))
    widths = {layer.name: 2 + place % 2 for place, layer in enumerate(network.layers)}
    settings = QatSettings(epochs=1, batch=64, learning_rate=0.01, distillation=1, temperature=4)
    start = warm_start(network.model, network.layers, widths, source.images[:128], settings)
    trained = train(
        network.model,
        network.layers,
        widths,
        start,
        Samples(TensorImages(source.images, source.labels), Augmentation("cifar10", 32)),
        settings=settings,
        device="cpu",
    )
    test = PreparedImages(TensorImages(held_out.images, held_out.labels))
    with joined_processes("cpu") as processes:
        before, after = (evaluate(model, test, processes) for model in (start, trained))
    assert before < 0.4
    assert after > 0.6
