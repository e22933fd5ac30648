"""How near ONNX files come to the quantized network in torch: ``python -m benchmarks.agreement``.

Trained weights, by least squared error, MobileNetV2's by channel; inputs of 8 bits. ResNet-20
and MobileNetV2 need `GP_EMQ_DATA`.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from gp_emq.command import run_command
from gp_emq.export import export_onnx
from gp_emq.networks import load_inputs
from gp_emq.options import OptionParser, one_of
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedModel,
    WeightQuantizer,
    calibrate_activations,
    grids_by_name,
)
from gp_emq.quantization._quantized_network import quantize_weights

NETWORKS = {"digits": (2, 3, 4, 8), "resnet20": (3, 4, 8), "mobilenet_v2": (6, 8)}
CALIBRATION, TESTS = 256, 1_000


def line(name: str, widths: Sequence[int]) -> str:
    """Quantize a network, layer by layer at one width after the other, and compare its outputs.

    Args:
        name: Of the network.
        widths: In turn.

    Returns:
        A line of Markdown: images, median and largest difference of a logit over the spread of
        all, images of the same class, and images right in torch and in the file.
    """
    inputs = load_inputs(name)
    of_imagenet = name == "mobilenet_v2"
    divided = inputs.divided(CALIBRATION, None if of_imagenet else TESTS, 0)
    model, layers = inputs.network.model, inputs.network.layers
    chosen = {layer.name: widths[place % len(widths)] for place, layer in enumerate(layers)}
    quantizer = WeightQuantizer(per_channel=of_imagenet)
    made = quantize_weights(model, layers, sorted(set(widths)), quantizer)
    images = torch.as_tensor(divided.calibration.samples)
    grids = calibrate_activations(model, layers, images, ActivationQuantizer(8))
    names = [layer.name for layer in layers]
    quantized = QuantizedModel(
        model,
        {layer: made[place, chosen[layer]] for place, layer in enumerate(names)},
        grids_by_name(layers, grids),
    )
    tests, labels = divided.test.samples, np.asarray(divided.test.targets)
    with torch.no_grad():
        expected = quantized(torch.as_tensor(tests)).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(quantized, layers, path, tuple(tests.shape[1:]))
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (given,) = session.get_inputs()
        found = session.run(None, {given.name: np.asarray(tests)})[0]
    off = np.abs(found - expected) / expected.std()
    same = (found.argmax(1) == expected.argmax(1)).mean()
    right = [(logits.argmax(1) == labels).mean() for logits in (expected, found)]
    return (
        f"| {name}, {', '.join(map(str, widths))} bits in turn | {len(tests):,} | "
        f"{np.median(off):.1e} | {off.max():.3f} | {100 * same:.1f} % | {100 * right[0]:.2f} % | "
        f"{100 * right[1]:.2f} % |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument(
        "networks", nargs="*", type=one_of(NETWORKS), metavar="NETWORK",
        help=f"of {', '.join(NETWORKS)} (default: all)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    sys.stdout.write(
        "| network, weights | images | median | largest | same class | right in torch | right in "
        "the file |\n|---|---:|---:|---:|---:|---:|---:|\n"
    )
    for name in options.networks or NETWORKS:
        sys.stdout.write(line(name, NETWORKS[name]) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    run_command(main)
