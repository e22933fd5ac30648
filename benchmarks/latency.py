"""How fast ONNX files run beside those of the float network: ``python -m benchmarks.latency``.

Weights are random: how long a network takes does not depend on them. Batch norms have statistics
of noise, one image goes through at a time, on one thread, and both files run in turn.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.timing import Row, compare
from gp_emq.command import run_command
from gp_emq.export import export_onnx
from gp_emq.networks import find_layers, untrained_network
from gp_emq.networks._torchvision import import_torchvision
from gp_emq.options import OptionParser, one_of
from gp_emq.profiling._processor import processor
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedModel,
    WeightQuantizer,
    calibrate_activations,
    grids_by_name,
)
from gp_emq.quantization._quantized_network import quantize_weights

IMAGES = 8
NETWORKS = ("resnet20", "mobilenet_v2", "resnet50")


@dataclass(frozen=True)
class Latency:
    """How long one image takes.

    Attributes:
        row: Processor seconds of the quantized file and of the float one.
        operators: How often each operator is in the quantized graph as onnxruntime runs it.
    """

    row: Row
    operators: Counter[str]


def network_of(name: str, side: int) -> tuple[nn.Module, Tensor]:
    """Make a network with random weights, and noise that it takes, (n, 3, side, side)."""
    torch.manual_seed(0)
    images = torch.randn(IMAGES, 3, side, side)
    if name == "resnet20":
        model = untrained_network(name).model
    else:
        model = getattr(import_torchvision("models"), name)()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        model.train()(images)
    return model.eval(), images


def measure(name: str, bits: int, *, side: int | None = None, repeats: int = 20) -> Latency:
    """Export a network as it is and quantized, and run both files in turn.

    Args:
        name: One of `NETWORKS`.
        bits: Width of all weights; inputs have 8 bits.
        side: Of the images; by default those that the network is made for.
        repeats: How often both run.
    """
    model, images = network_of(name, side or (32 if name == "resnet20" else 224))
    layers = find_layers(model, images[:1])
    made = quantize_weights(model, layers, [bits], WeightQuantizer(per_channel=True))
    grids = calibrate_activations(model, layers, images, ActivationQuantizer(8))
    names = [layer.name for layer in layers]
    quantized = QuantizedModel(
        model,
        {layer: made[place, bits] for place, layer in enumerate(names)},
        grids_by_name(layers, grids),
    )
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "quantized.onnx", Path(folder) / "float.onnx"
        export_onnx(quantized, layers, ours, tuple(images.shape[1:]))
        torch.onnx.export(
            model, (images[:1],), theirs, dynamo=True, input_names=["images"], verbose=False
        )
        optimized = Path(folder) / "optimized.onnx"
        run, run_float = _session(ours, optimized), _session(theirs)
        one = images[:1].numpy()
        row = compare(
            f"{name}, weights of {bits} bits", lambda: run(one), "its float file",
            lambda: run_float(one), repeats=repeats,
        )  # fmt: skip
        graph = onnx.load(optimized).graph
        return Latency(row, Counter(node.op_type for node in graph.node))


def _session(path: Path, optimized: Path | None = None) -> Callable[[object], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()

    def run(images: object) -> np.ndarray:
        found: np.ndarray = session.run(None, {given.name: images})[0]
        return found

    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument(
        "networks", nargs="*", type=one_of(NETWORKS), metavar="NETWORK",
        help=f"of {', '.join(NETWORKS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--bits", type=int, default=8, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=20, metavar="N")
    options = parser.parse_args(arguments)
    sys.stdout.write(
        f"{processor()}, onnxruntime {onnxruntime.__version__}; processor seconds, one thread, one "
        "image\n\n| what | ours | against | theirs | ratio | in integers | in float |\n"
        "|---|---:|---|---:|---:|---:|---:|\n"
    )
    for name in options.networks or NETWORKS:
        found = measure(name, options.bits, repeats=options.repeats)
        integers = sum(found.operators[of] for of in ("QLinearConv", "MatMulIntegerToFloat"))
        others = sum(found.operators[of] for of in ("Conv", "FusedConv", "Gemm", "MatMul"))
        sys.stdout.write(f"{found.row.line()} {integers} | {others} |\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    run_command(main)
