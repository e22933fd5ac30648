"""Checks against published networks and images, where they are at hand."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from gp_emq.determinism import one_thread
from gp_emq.mqbench import MeasurementSettings, Measurer, bench_inputs, list_benches, load_bench
from gp_emq.mqbench._protocol import Protocol
from gp_emq.networks import load_images, load_network
from gp_emq.networks._cifar import read_cifar
from gp_emq.quantization import integer_convolution_available

DATA = Path(os.environ.get("GP_EMQ_DATA", Path(__file__).parents[3] / "shared" / "data"))
WEIGHTS = DATA / "cifar10" / "resnet20-12fca82f.th"
RESNET20 = [name for name in list_benches() if name.startswith("resnet20-cifar10")]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not WEIGHTS.is_file(), reason=f"no published weights at {WEIGHTS}: set GP_EMQ_DATA"
    ),
]


@pytest.fixture(scope="module", autouse=True)
def _images_are_read_once():
    """All tests of this file look at the same files, of which none changes an image."""
    read = cache(lambda paths, part: read_cifar(paths, part=part))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "gp_emq.networks._images.read_cifar", lambda paths, part: read(tuple(paths), part)
        )
        yield


def test_float_resnet20_has_its_published_accuracy():
    images = load_images("cifar10", [DATA / "cifar10" / "test.npz"])
    model = load_network("resnet20", WEIGHTS).model.to(memory_format=torch.channels_last)
    with torch.no_grad():
        right = [
            model(batch.contiguous(memory_format=torch.channels_last)).argmax(1)
            for batch in torch.split(images.images, 50)
        ]
    share = (torch.cat(right) == images.labels).double().mean()
    assert len(images.labels) == 10_000
    assert round(100 * float(share), 2) == 91.73


@pytest.mark.parametrize("name", RESNET20)
def test_shipped_benches_were_measured_on_all_test_images(name):
    bench = load_bench(name)
    assert (len(bench.accuracies), len(bench.entries), bench.images) == (425, 20, 10_000)
    assert bench.bits == (2, 3, 4)
    assert round(100 * bench.provenance["float_accuracy"], 2) == 91.73


@pytest.mark.parametrize("name", [n for n in RESNET20 if not n.endswith("adaround")])
def test_shipped_accuracies_are_measured_again(name):
    bench = load_bench(name)
    protocol = Protocol.from_settings(bench.provenance["protocol"])
    arithmetic = "integer" if integer_convolution_available() else "float"
    measurer = Measurer(
        MeasurementSettings(
            network=bench.network,
            weights=WEIGHTS,
            data=(DATA / "cifar10",),
            protocol=protocol,
            bits=bench.bits,
            tests=None,
            seed=bench.provenance["seed"],
            arithmetic=arithmetic,
        )
    )
    assert measurer.calibration.samples_sha256() == bench.provenance["calibration_sha256"]
    images = 500
    measurer.test = measurer.test.part(torch.arange(images))
    again = np.unpackbits(measurer.measure(bench.configurations[7]), count=images)
    # Other machines and the float path round a few images to the other side.
    assert (again != bench.correctness()[7, :images]).sum() <= 5


@pytest.mark.parametrize("name", RESNET20[:1])
def test_inputs_are_the_calibration_images(name):
    bench = load_bench(name)
    inputs = bench_inputs(bench, weights=WEIGHTS, data=[DATA / "cifar10"])
    assert inputs.calibration.samples.shape == (512, 3, 32, 32)
    with one_thread(), torch.no_grad():
        found = inputs.network.model(inputs.calibration.samples).argmax(1)
        share = (found == inputs.calibration.targets).double().mean()
    # Training images: the network knows nearly all of them.
    assert share > 0.97
