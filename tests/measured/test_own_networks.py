"""A network of one's own is planned with nothing but its images, few as they may be."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from gp_emq.allocate import main
from gp_emq.allocation import load_plan
from gp_emq.errors import GpEmqError
from gp_emq.networks import load_inputs
from gp_emq.quantize import main as quantize

FACTORY = """
import torch
from torch import nn

def bare():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 4, 5)
    )

def shaped():
    return bare(), (3, 10, 8)
"""


class Terminal(io.StringIO):
    """Keeps what it shows."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_factories.py").write_text(FACTORY)
    images = np.random.default_rng(0).standard_normal((100, 3, 10, 8), dtype=np.float32)
    np.savez("images.npz", x=images)
    np.savez("turned.npz", x=images.transpose(0, 1, 3, 2).copy())


def test_a_network_takes_the_shape_of_its_images_where_it_says_none() -> None:
    found = load_inputs("own_factories:bare", data=[Path("images.npz")])
    assert found.network.input_shape == (3, 10, 8)
    assert [layer.macs for layer in found.network.layers] == [4 * 27 * 48, 4 * 36 * 24, 96 * 5]
    with pytest.raises(GpEmqError, match=r"x has images of shape \(3, 8, 10\), but"):
        load_inputs("own_factories:shaped", data=[Path("turned.npz")])


@pytest.mark.parametrize("options", [[], ["--images", "20"]])
def test_at_most_half_of_few_images_calibrate_where_plans_race(options: list[str], capsys) -> None:
    line = ["--network", "own_factories:bare", "--data", "images.npz", "--average-bits", "3"]
    assert main([*line, *options, "--no-plot", "--out", "plan.json"]) == 0
    plan = load_plan(Path("plan.json"))
    assert plan.measures is not None
    assert plan.measures.average_bits <= 3
    # All that the plan has seen: those that calibrate, and those that race and confirm.
    assert plan.provenance["seen"] == "100"
    confirm = json.loads(Path("plan-certificate.json").read_text())["images"]
    first = re.search(r"raced by loss: [^,]+ on (\d+)", plan.provenance["raced"])
    assert first is not None
    assert int(first[1]) + confirm == (80 if options else 50)
    used_up = "note: all 100 samples calibrate or choose the plan, and quantize has none left"
    assert used_up in capsys.readouterr().err
    again = ["--network", "own_factories:bare", "--data", "images.npz", "--plan", "plan.json"]
    with pytest.raises(GpEmqError, match=r"none are left to test on; .* --measure-images"):
        quantize(again)
    assert main([*line, *options, "--no-plot", "--out", "plan.json", "--measure-images", "40"]) == 0
    assert used_up not in capsys.readouterr().err
    assert quantize(again) == 0


@pytest.mark.parametrize("proxies", [[], ["--proxy", "mse"]], ids=["a race", "one proxy"])
def test_a_terminal_shows_what_is_scored_and_what_races(proxies, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    line = ["--network", "own_factories:bare", "--data", "images.npz", "--average-bits", "3"]
    assert main([*line, *proxies, "--no-plot"]) == 0
    shown = sys.stderr.getvalue()
    for words in ("scoring", "mse") if proxies else ("rounding", "scoring", "racing", "gp-views"):
        assert words in shown
    left = shown.rsplit("\r", 1)[-1]  # bars leave nothing behind
    assert all(line.startswith("note: ") for line in left.splitlines())


def test_images_that_look_like_pixels_are_remarked_on_and_how_few_calibrate(capsys) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 10, 8)).astype(np.float32)
    np.savez("pixels.npz", x=pixels)
    np.savez("scaled.npz", x=pixels / 255)
    np.savez("whole.npz", x=pixels % 4)
    said = "note: pixels.npz: x holds whole numbers up to 255, as pixels are; it must be what"
    for name in "pixels", "scaled", "whole":
        line = ["--network", "own_factories:bare", "--data", f"{name}.npz", "--out", "plan.json"]
        assert main([*line, "--proxy", "fit", "--average-bits", "3", "--no-plot"]) == 0
        told = capsys.readouterr().err
        assert (said in told) == (name == "pixels")
        assert "note: 40 of 40 samples calibrate, not the 256 of --images" in told
    line = ["--network", "own_factories:bare", "--data", "pixels.npz", "--plan", "plan.json"]
    assert quantize([*line, "--images", "8", "--format", "json"]) == 0
    assert said.removeprefix("note: ") in capsys.readouterr().out
