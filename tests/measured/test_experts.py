"""Layers that few samples call are planned by the samples that calibrate, and no other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gp_emq
from gp_emq.allocate import main
from gp_emq.allocation import load_plan
from gp_emq.networks import Workload, load_inputs
from gp_emq.quantize import main as quantize

COUNT, CALIBRATING = 160, 80
FACTORY = "from test_experts import Experts\n\ndef experts():\n    return Experts(), (1, 4, 4)\n"
EXPERTS = ("expert.0", "expert.1", "expert.2")


class Experts(nn.Module):
    """Gives each image to the expert whose number is in its first pixel, on zeros the first."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.last = nn.Conv2d(1, 6, 3), nn.Linear(6, 3)
            self.expert = nn.ModuleList(nn.Linear(6, 6) for _ in EXPERTS)

    def forward(self, x: Tensor) -> Tensor:
        chosen, found = x[:, 0, 0, 0].long(), self.first(x).relu().mean((2, 3))
        parts = torch.zeros_like(found)
        for number, expert in enumerate(self.expert):
            mine = (chosen == number).nonzero()[:, 0]
            if len(mine):
                parts = parts.index_add(0, mine, expert(found[mine]))
        last: Tensor = self.last(found + parts)
        return last


def images(second: list[int], third: list[int]) -> Tensor:
    """Images for the first expert, but for some."""
    found = torch.randn(COUNT, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    found[:, 0, 0, 0] = 0
    found[second, 0, 0, 0] = 1
    found[third, 0, 0, 0] = 2
    return found


def calibrating() -> list[int]:
    """The places of the samples that calibrate."""
    places = torch.arange(COUNT, dtype=torch.float32)
    numbered = Workload(nn.Sequential(nn.Linear(1, 2)), {"input": places[:, None]})
    drawn = load_inputs(None, workload=numbered).calibration(CALIBRATING, 0)
    return [int(place) for place in drawn.samples["input"][:, 0]]


def some_images() -> Tensor:
    """Of those that calibrate the last is the second expert's, and none the third's."""
    chosen = calibrating()
    others = [place for place in range(COUNT) if place not in chosen]
    return images([max(chosen)], [others[0], others[-1]])


def test_a_plan_has_the_layers_that_calibration_samples_call() -> None:
    model, taken = Experts(), some_images()
    found = gp_emq.best_plan(model, taken, average_bits=3, calibration=CALIBRATING)
    assert set(found.plan.widths) == {"first", *EXPERTS[:2], "last"}
    assert list(found.plan.kept_in_float) == ["expert.2.weight"]
    # All samples call the third, too, which the plan leaves in float.
    small = gp_emq.quantize(model, found.plan, taken, method="rtn")
    assert set(small.weights) == set(found.plan.widths)
    weight = small.network.get_submodule("expert.2").weight
    assert torch.equal(weight, model.expert[2].weight)


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "own_experts.py").write_text(FACTORY)
    np.savez("images.npz", x=some_images().numpy())


@pytest.mark.usefixtures("_here")
def test_commands_take_the_layers_that_images_call_not_those_that_zeros_do(capsys) -> None:
    network = ["--network", "own_experts:experts", "--data", "images.npz"]
    layers = load_inputs("own_experts:experts", data=[Path("images.npz")]).network.layers
    operations = {layer.name: layer.macs for layer in layers}
    assert set(operations) == {"first", *EXPERTS, "last"}
    assert operations["expert.0"] == round(36 * (COUNT - 3) / COUNT)
    line = [*network, "--average-bits", "3", "--proxy", "relative_error", "--no-plot"]
    assert main([*line, "--images", str(CALIBRATING), "--out", "plan.json"]) == 0
    assert set(load_plan(Path("plan.json")).widths) == {"first", *EXPERTS[:2], "last"}
    assert quantize([*network, "--plan", "plan.json", "--images", str(CALIBRATING)]) == 0
    assert "expert.2.weight" in capsys.readouterr().out
