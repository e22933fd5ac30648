"""The `Conv1D` of transformers, of a weight (in, out): held to a `Linear` of the same values."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import gp_emq
from gp_emq.networks import PER_CHANNEL, Workload, find_layers, size_table
from gp_emq.statistics import STATISTICS


class Conv1D(nn.Module):
    """As transformers has it: (..., in) times a weight (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(0.5 * torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.randn(nf))

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return flat.view(*x.shape[:-1], self.nf)


Conv1D.__module__ = "transformers.pytorch_utils"  # what it is known by


def kinds() -> list[type[nn.Module]]:
    try:
        from transformers.pytorch_utils import Conv1D as Theirs
    except ImportError:
        return [Conv1D]
    return [Conv1D, Theirs]


@pytest.fixture(params=kinds(), scope="module", ids=["of the same form", "theirs"][: len(kinds())])
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module, Tensor]:
    """A network, the same of `Linear` layers, and samples."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [request.param(6, 4), nn.GELU(), request.param(6, 6), nn.Tanh()]
        model = nn.Sequential(*layers, nn.Linear(6, 3)).eval()
    twin = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 6), nn.Tanh(), model[4]).eval()
    for place in "02":
        ours, theirs = twin.get_submodule(place), model.get_submodule(place)
        ours.weight.data, ours.bias.data = theirs.weight.data.T.clone(), theirs.bias.data.clone()
    samples = torch.randn(10, 5, 4, generator=torch.Generator().manual_seed(1))
    return model, twin, samples


def fed(model: nn.Module, samples: Tensor) -> Workload:
    return Workload(model, samples, forward=lambda network, x: network(x).mean(1))


def test_layers_and_sizes_are_those_of_linear_layers(pair) -> None:
    model, twin, samples = pair
    found, expected = (find_layers(network, samples[:1]) for network in (model, twin))
    assert [layer.kind for layer in found] == ["Conv1D", "Conv1D", "Linear"]
    for one, other in zip(found, expected, strict=True):
        assert (one.name, one.weight_shape, one.macs) == (
            other.name,
            other.weight_shape,
            other.macs,
        )
    # 24, 36 and 18 weights of 3 bits in whole bytes; a scale and a bias for each output.
    sizes = size_table(found, (3,), "stored", granularity=PER_CHANNEL)[:, 0]
    assert sizes.tolist() == [9 + 48, 14 + 48, 7 + 24]


def test_every_statistic_is_that_of_linear_layers(pair) -> None:
    model, twin, samples = pair
    found, expected = (
        gp_emq.collect_statistics(fed(network, samples), bits=(2, 4), cache=None)
        for network in (model, twin)
    )
    for name in STATISTICS:
        values, wanted = (
            of.perturbation() if name == "perturbation" else of.tensor(name)
            for of in (found, expected)
        )
        scale = float(wanted.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(
            values, wanted, rtol=1e-3, atol=1e-5 * scale, msg=lambda text, name=name: name + text
        )


@pytest.mark.parametrize("method", ["rtn", "brecq"])
def test_quantized_networks_give_what_those_of_linear_layers_give(
    pair, method: str, tmp_path: Path
) -> None:
    model, twin, samples = pair
    learns = {"iterations": 8} if method == "brecq" else {}
    made, expected = (
        gp_emq.quantize(fed(network, samples), {"0": 3, "4": 4}, method=method, **learns)
        for network in (model, twin)
    )
    assert torch.equal(made.weights["0"].integers, expected.weights["0"].integers)
    torch.testing.assert_close(made(samples), expected(samples))
    gp_emq.save_quantized(made, tmp_path / "q.safetensors")
    assert torch.equal(load_file(tmp_path / "q.safetensors")["2.weight"], model[2].weight)
    again = gp_emq.load_quantized(tmp_path / "q.safetensors", model)
    assert torch.equal(again(samples), made(samples))
    assert model[0].weight.shape == (4, 6)
