"""A small task that trains in a fraction of a second a time."""

from dataclasses import dataclass

import pytest

from gp_emq.networks import Augmentation, Network, load_images, load_network
from gp_emq.qat import QatSettings, Samples, TensorImages, warm_start
from gp_emq.qat._samples import PreparedImages
from gp_emq.quantization import QuantizedModel


@dataclass(frozen=True)
class Task:
    """The digits network at 2 bits, on some of its training images."""

    network: Network
    widths: dict[str, int]
    start: QuantizedModel
    samples: Samples
    test: PreparedImages

    def arguments(self):
        """What `train` takes first."""
        return self.network.model, self.network.layers, self.widths, self.start, self.samples


@pytest.fixture(scope="session")
def task() -> Task:
    network = load_network("digits")
    training, test = (load_images("digits", part=part) for part in ("training", "test"))
    widths = {layer.name: 2 for layer in network.layers}
    start = warm_start(network.model, network.layers, widths, training.images[:256], QatSettings())
    return Task(
        network,
        widths,
        start,
        Samples(
            TensorImages(training.images[:256], training.labels[:256]), Augmentation("digits", 8)
        ),
        PreparedImages(TensorImages(test.images[:1000], test.labels[:1000])),
    )
