"""Images and labels that are no pixels and no classes: refused before anything is measured."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from gp_emq import bench, rank
from gp_emq.command import exit_status
from gp_emq.networks._cifar_resnet import CifarResNet

DATA = Path(os.environ.get("GP_EMQ_DATA", Path(__file__).parents[3] / "shared" / "data"))
WEIGHTS = DATA / "cifar10" / "resnet20-12fca82f.th"
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 40)


def with_one(value: float) -> np.ndarray:
    images = (PIXELS / 255).astype(np.float32)
    images[7, 0, 0, 0] = value
    return images


WRONG = {
    "an image holds nan": (with_one(np.nan), LABELS, "x must be uint8"),
    "an image is infinite": (with_one(np.inf), LABELS, "x must be uint8"),
    "pixels are shares": (with_one(0.5), LABELS, "x must be uint8"),
    "labels are floats": (PIXELS, LABELS.astype(np.float32), "y must be 40 integers, not float32"),
    "a label is nan": (PIXELS, np.where(LABELS == 3, np.nan, LABELS), "not float64 (40,)"),
    "labels are rows": (PIXELS, np.eye(10)[LABELS], "not float64 (40, 10)"),
    "labels are truths": (PIXELS, LABELS > 3, "not bool"),
    "a label is negative": (PIXELS, LABELS - 1, "y must hold labels 0 to 9"),
    "a label is no class": (PIXELS, LABELS + 2**40, "y must hold labels 0 to 9"),
}


@pytest.fixture(params=list(WRONG))
def wrong(request, tmp_path):
    """A file of images, and what is said of it."""
    images, labels, words = WRONG[request.param]
    path = tmp_path / "test.npz"
    np.savez(path, x=images, y=labels)
    return path, words


def test_no_bench_is_built_on_them(wrong, tmp_path, capsys) -> None:
    path, words = wrong
    torch.save(CifarResNet(3).state_dict(), tmp_path / "weights.pth")
    arguments = [
        "build", "--network", "resnet20", "--weights", str(tmp_path / "weights.pth"), "--data",
        str(path), "--configs", "2", "--calibration-images", "8", "--out", str(tmp_path / "b"),
    ]  # fmt: skip
    assert exit_status(lambda: bench.main(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {path}: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["test.npz", "weights.pth"]


@pytest.mark.skipif(
    not WEIGHTS.is_file(), reason=f"no published weights at {WEIGHTS}: set GP_EMQ_DATA"
)
def test_no_proxy_is_ranked_on_them(wrong, capsys) -> None:
    path, words = wrong
    arguments = [
        "--bench", "resnet20-cifar10-rtn", "--proxies", "snip", "--quiet", "--data", str(path),
        "--weights", str(WEIGHTS),
    ]  # fmt: skip
    assert exit_status(lambda: rank.main(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{path}: " in captured.err
    assert words in captured.err
