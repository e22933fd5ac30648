"""What is to be computed in float is: onnxruntime rounds no weight that has been rounded before."""

import onnx
import pytest
import torch
from onnx_graphs import LEVELS, operators, run
from quantized_networks import noise
from torch import Tensor, nn

import gp_emq
from gp_emq.export import export_onnx
from gp_emq.networks import Workload, feed, layers_of
from gp_emq.quantization import QuantizedModel, WeightQuantizer


def uneven(layer: nn.Module) -> nn.Module:
    """Let channels have weights of very different sizes, and biases between steps."""
    with torch.no_grad():
        sizes = torch.logspace(-2, 0, layer.weight.shape[0])
        layer.weight *= sizes.reshape(-1, *[1] * (layer.weight.dim() - 1))
        layer.bias.copy_(torch.linspace(-0.1, 0.1, len(layer.bias)))
    return layer


NETWORKS = {
    "pooled": (
        lambda: [uneven(nn.Conv2d(3, 8, 3)), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3)],
        (3, 10, 10),
    ),
    "flattened": (
        lambda: [uneven(nn.Conv2d(3, 8, 3)), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                 nn.Linear(128, 4)],
        (3, 10, 10),
    ),
    "flattened at once": (
        lambda: [uneven(nn.Conv2d(3, 8, 3)), nn.Flatten(), nn.Linear(288, 4)], (3, 8, 8),
    ),
    "one channel": (
        lambda: [uneven(nn.Conv2d(1, 8, 3)), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3)], (1, 10, 10),
    ),
    "a batch norm and pooled": (
        lambda: [uneven(nn.Conv2d(3, 8, 3)), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                 nn.Conv2d(8, 4, 3)],
        (3, 10, 10),
    ),
    "transposed": (
        lambda: [uneven(nn.ConvTranspose2d(8, 8, 3)), nn.ReLU(), nn.Conv2d(8, 4, 3)], (8, 6, 6),
    ),
    "linear": (lambda: [uneven(nn.Linear(16, 16)), nn.ReLU(), nn.Linear(16, 4)], (16,)),
}  # fmt: skip


def quantized_of(parts: list[nn.Module], inputs: Tensor) -> tuple[QuantizedModel, tuple]:
    workload = Workload(nn.Sequential(*parts, nn.Flatten()).eval(), inputs, forward=feed)
    layers = layers_of(workload.private(), inputs)
    quantizer = WeightQuantizer(per_channel=True, scale_rule="minmax")
    widths = {layer.name: 8 for layer in layers}
    found = gp_emq.quantize(
        workload, widths, quantizer=quantizer, activation_rule="minmax", method="rtn"
    )
    return found, layers


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_in_float_have_the_weights_of_the_file(tmp_path, name) -> None:
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    inputs = noise(24, *shape)
    quantized, layers = quantized_of(make(), inputs)
    path = tmp_path / "float.onnx"
    export_onnx(quantized, layers, path, shape)
    expected = quantized(inputs).detach()
    assert operators(path)["QLinearConv"] == 0
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        difference = (run(path, inputs, level) - expected).abs() / expected.std()
        assert difference.median() < 1e-5
        # What lies half way between two steps of a grid may go to the other.
        assert difference.max() < 0.02


def test_a_convolution_whose_bias_no_integer_meets_stays_in_float(tmp_path) -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(3, 8, 3)
    with torch.no_grad():
        # Inputs far from zero cancel: steps of sums are as large as those of what comes out.
        first.weight -= first.weight.mean(dim=(1, 2, 3), keepdim=True)
    inputs = 2000 + noise(24, 3, 8, 8)
    quantized, layers = quantized_of([first, nn.ReLU(), nn.Conv2d(8, 4, 3)], inputs)
    path = tmp_path / "coarse.onnx"
    export_onnx(quantized, layers, path, (3, 8, 8))
    expected = quantized(inputs).detach()
    assert operators(path)["QLinearConv"] == 0
    assert (run(path, inputs) - expected).abs().median() < 1e-3 * expected.std()


@pytest.mark.parametrize(("kind", "shape"), [(nn.Conv1d, (4, 20)), (nn.Conv3d, (4, 6, 6, 6))])
def test_convolutions_along_one_and_three_axes_are_computed_in_integers(
    tmp_path, kind, shape
) -> None:
    torch.manual_seed(0)
    inputs = noise(16, *shape)
    parts = [uneven(kind(4, 8, 3)), nn.ReLU(), uneven(kind(8, 8, 3, groups=4)), nn.ReLU(),
             kind(8, 3, 2)]  # fmt: skip
    quantized, layers = quantized_of(parts, inputs)
    path = tmp_path / "axes.onnx"
    export_onnx(quantized, layers, path, shape)
    expected = quantized(inputs).detach()
    assert operators(path)["QLinearConv"] == 2
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert kinds["0.bias.integers"] == kinds["2.bias.integers"] == onnx.TensorProto.INT32
    difference = (run(path, inputs) - expected).abs() / expected.std()
    assert difference.median() < 5e-3
    assert difference.max() < 0.05


def test_nothing_stands_before_a_layer_that_leads_to_no_grid(tmp_path) -> None:
    torch.manual_seed(0)
    inputs = noise(8, 3, 6, 6)
    quantized, layers = quantized_of([nn.Conv2d(3, 4, 3), nn.ReLU()], inputs)
    path = tmp_path / "last.onnx"
    export_onnx(quantized, layers, path, (3, 6, 6))
    assert "Max" not in {node.op_type for node in onnx.load(path).graph.node}
