"""The loader of the page on files, which needs torch alone, gives what was saved."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gp_emq

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture(scope="module")
def load():
    (block,) = (
        found
        for found in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "def load(" in found
    )
    names: dict = {}
    exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - the page is ours
    return names["load"]


class Conv1D(nn.Module):
    """As that of transformers, with its weight (in, out)."""

    __module__ = "transformers.pytorch_utils"

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.nf, self.nx = outputs, inputs
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).unflatten(0, x.shape[:-1])


class Kept(nn.Module):
    """Keeps numbers of other types beside its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.register_buffer("order", torch.tensor([2, 0, 1], dtype=torch.int32))
        self.turn = nn.Parameter(torch.randn(3, dtype=torch.complex64))
        self.layer = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer((x[:, self.order.long()] * self.mask * self.turn).abs())


class Mixed(nn.Sequential):
    """Computes in half precision, in which steps of grids are too coarse to count."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x).float()


def blank(model: nn.Module) -> nn.Module:
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    for buffer in other.buffers():
        buffer.zero_()
    return other


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        # As many channels in as out: no shape tells that axes are exchanged.
        (lambda: nn.Sequential(nn.ConvTranspose1d(4, 4, 3), nn.Tanh()), (4, 9)),
        (lambda: nn.Sequential(nn.ConvTranspose2d(6, 4, 3, 2, groups=2)), (6, 5, 5)),
        (lambda: nn.Sequential(nn.ConvTranspose3d(4, 4, 2, groups=4)), (4, 3, 3, 3)),
        (lambda: nn.Sequential(Conv1D(5, 5), nn.Tanh(), Conv1D(3, 5)), (2, 5)),
        (Kept, (3,)),
        (lambda: Mixed(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 3)), (6,)),
    ],
)
def test_it_gives_the_outputs_of_the_network_that_was_saved(load, make, shape, tmp_path) -> None:
    torch.manual_seed(0)
    model, samples = make(), torch.randn(8, *shape)
    workload = gp_emq.Workload(model, samples, loss=lambda y, _: y.flatten(1).square().mean(1))
    layers = gp_emq.collect_statistics(workload, bits=(3, 4)).layers
    quantized = gp_emq.quantize(workload, {layer.name: 4 for layer in layers}, method="rtn")
    gp_emq.save_quantized(quantized, tmp_path / "saved.safetensors")
    loaded = load(tmp_path / "saved.safetensors", blank(model))
    assert torch.allclose(loaded(samples), quantized(samples), atol=1e-6)
    assert not torch.allclose(loaded(samples), model(samples), atol=1e-3)


def test_it_refuses_networks_that_compute_their_weights(load, tmp_path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))
    quantized = gp_emq.quantize(model, {"0": 4}, torch.randn(8, 4), method="rtn")
    gp_emq.save_quantized(quantized, tmp_path / "saved.safetensors")
    with pytest.raises(ValueError, match=r"the network has no 0\.weight"):
        load(tmp_path / "saved.safetensors", model)
