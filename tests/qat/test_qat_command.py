"""``python -m gp_emq.qat``: recipes, plans, own images, a kill, and several processes."""

import csv
import json
import os
import signal
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from forked import Forked
from PIL import Image

from gp_emq.allocation import CostSettings, allocate, save_plan
from gp_emq.cli._qat import read_qat
from gp_emq.errors import GpEmqError, TrainingError
from gp_emq.export import load_quantized, read_record
from gp_emq.networks import (
    PER_TENSOR,
    load_images,
    load_network,
    network_specifications,
    registered_layers,
)
from gp_emq.qat import RECIPES, method_settings
from gp_emq.qat.__main__ import main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
QUICK = ["--epochs", "1", "--batch", "64", "--images", "64", "--device", "cpu", "--quiet"]


@pytest.fixture(autouse=True)
def _own_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(HERE)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "quantized.safetensors")


def some_digits(folder: Path) -> str:
    """Write 128 training images and their labels as arrays, and give the file."""
    training = load_images("digits", part="training")
    path = folder / "images.npz"
    np.savez(path, x=training.images[:128].numpy(), y=training.labels[:128].numpy())
    return str(path)


def run(*arguments: str | Path) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def test_a_plan_is_trained_with_a_recipe(tmp_path, capsys) -> None:
    plan = tmp_path / "plan.json"
    layers = registered_layers("digits")
    chosen = allocate([[-3.0, -2.0, -1.0]] * len(layers), layers, bits=(2, 3, 4), average_bits=2.5)
    save_plan(replace(chosen, provenance={"network": "digits"}), plan)
    run("--plan", plan, "--recipe", "digits", "--epochs", "1", "--device", "cpu")
    lines = capsys.readouterr().out.splitlines()
    bits = chosen.measures.average_bits
    assert lines[0] == f"digits: 14 quantized layers, {bits:.3f} bits per parameter"
    assert [line.split("  ")[0] for line in lines[1:]] == ["float", "before training", "trained"]
    folder = tmp_path / "plan-qat"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["accuracy"] > summary["start_accuracy"] + 0.02
    assert summary["settings"]["batch"] == 64
    assert summary["planned_bits"] == summary["average_bits"] <= 2.5
    assert summary["widths"] == chosen.widths
    found = load_quantized(folder / "quantized.safetensors", load_network("digits").model)
    for name, width in summary["widths"].items():
        integers, scale = found.weights[name].integers, found.weights[name].parameters.scale
        assert -(2 ** (width - 1)) <= int(integers.min()) <= int(integers.max()) < 2 ** (width - 1)
        assert torch.equal(found.network.get_submodule(name).weight, integers * scale)


def test_raised_widths_stand_in_the_plan_the_table_and_the_file(tmp_path, capsys) -> None:
    plan = tmp_path / "plan.json"
    layers = registered_layers("digits")
    table = [[-3.0, -2.0, -1.0]] * len(layers)
    counted = CostSettings(granularity=PER_TENSOR, symmetric=False, activation_bits=4)
    chosen = allocate(table, layers, bits=(2, 3, 4), average_bits=2.5, settings=counted)
    save_plan(replace(chosen, provenance={"network": "digits"}), plan)
    arguments = ["--recipe", "digits", "--data", some_digits(tmp_path), *QUICK[:-1]]
    run("--plan", plan, *arguments, "--first-last-bits", "8")
    widths = {**chosen.widths, "conv1": 8, "linear": 8}
    right = allocate(table, layers, bits=(2, 3, 4), average_bits=8, fix=widths, settings=counted)
    first = capsys.readouterr().out.splitlines()[0]
    assert f"{right.measures.average_bits:.3f} bits per parameter" in first
    assert f"({chosen.measures.average_bits:.3f} planned; first and last layer at 8)" in first
    found = read_record(tmp_path / "plan-qat" / "quantized.safetensors").plan
    assert found.widths == widths
    assert found.provenance["revised"] == "conv1, linear at 8 bits in training"
    assert found.targets == ()
    for name, value in asdict(right.measures).items():
        assert getattr(found.measures, name) == pytest.approx(value, rel=1e-12)


def test_a_plan_of_part_of_the_network_is_refused(tmp_path) -> None:
    plan = tmp_path / "plan.json"
    part = registered_layers("digits")[:5]
    save_plan(allocate([[-3.0, -1.0]] * 5, part, bits=(2, 4), average_bits=3), plan)
    missing = registered_layers("digits")[5].name
    with pytest.raises(
        TrainingError, match=f"not for digits: .* layer '{missing}', the first of 9"
    ):
        run("--plan", plan, "--network", "digits", "--recipe", "digits", "--device", "cpu")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_reads_and_names_a_known_network(recipe) -> None:
    asked = read_qat(["--recipe", recipe.name, "--bits", "4"])
    assert asked.training == method_settings(recipe.name)
    assert asked.network in {known.name for known in network_specifications()}
    assert recipe.path.read_text().startswith("#")


def test_recipes_and_their_files_are_the_same(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--list-recipes"])
    assert ended.value.code == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(listed) == sorted(path.stem for path in RECIPES[0].path.parent.glob("*.toml"))


def test_the_command_line_wins_over_the_file_and_that_over_the_recipe(tmp_path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('epochs = 7\nbatch = 16\nfirst-last-bits = "plan"\n')
    settings = read_qat(
        ["--recipe", "imagenet-resnet50", "--config", str(config), "--batch", "32", "--bits", "4"]
    ).training
    assert (settings.epochs, settings.batch, settings.first_last_bits) == (7, 32, None)
    assert settings.distillation == 0.5


def test_images_in_folders_are_trained_on_with_the_recipe_of_imagenet(tmp_path) -> None:
    """The code path of ImageNet, on a few images of two colours."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 6)):
        for label, colour in enumerate(((200, 60, 60), (60, 60, 200))):
            folder = tmp_path / "images" / part / f"class{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = np.clip(rng.normal(colour, 20, (60, 70, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    run("--recipe", "imagenet-resnet18", "--network", "own_networks:of_files", "--bits", "4",
        "--data", tmp_path / "images", "--epochs", "12", "--batch", "8", "--images", "8",
        "--learning-rate", "0.2", "--workers", "1", "--device", "cpu", "--quiet",
        "--out", tmp_path / "out")  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["images"] == 12
    assert summary["accuracy"] == 1.0


def test_files_of_pixels_are_trained_on_as_cifar_is(tmp_path) -> None:
    """Two classes, dark and bright, and a file each of training and test images."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 64), ("test", 40)):
        labels = rng.integers(0, 2, count)
        pixels = rng.integers(0, 120, (count, 32, 32, 3)) + 130 * labels[:, None, None, None]
        np.savez(tmp_path / f"{part}.npz", x=pixels.astype(np.uint8), y=labels)
    run("--network", "own_networks:of_pixels", "--bits", "4", "--data", tmp_path, "--epochs", "8",
        "--batch", "16", "--images", "16", "--learning-rate", "0.1", "--device", "cpu", "--quiet",
        "--out", tmp_path / "out")  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["images"] == 40
    assert summary["accuracy"] == 1.0


def test_arrays_of_ones_own_need_no_labels(tmp_path) -> None:
    training, test = (load_images("digits", part=part) for part in ("training", "test"))
    np.savez(tmp_path / "mine.npz", x=training.images[:256].numpy())
    np.savez(tmp_path / "test.npz", x=test.images[:500].numpy(), y=test.labels[:500].numpy())
    run("--network", "digits", "--bits", "3", "--data", tmp_path / "mine.npz",
        "--test-data", tmp_path / "test.npz", *QUICK, "--batch", "32",
        "--learning-rate", "0.02", "--distillation", "1", "--out", tmp_path / "out")  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["images"] == 500
    assert summary["accuracy"] > 0.8


@pytest.mark.slow
def test_a_kill_at_any_moment_changes_no_byte(tmp_path) -> None:
    arguments = ["--network", "digits", "--bits", "2", "--data", some_digits(tmp_path), "--images",
                 "64",
                 "--epochs", "8", "--batch", "32", "--device", "cpu", "--quiet"]  # fmt: skip
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = Forked(["gp_emq.qat", *arguments, "--out", killed], env=environment())
    end = time.monotonic() + 60
    while not (killed / "log.csv").exists() and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    with (killed / "log.csv").open(newline="") as file:
        assert 1 <= len(list(csv.DictReader(file))) < 8
    assert not (killed / "quantized.safetensors").exists()
    for folder in (killed, whole):
        run(*arguments, "--out", folder)
    for name in ("quantized.safetensors", "summary.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path) -> None:
    """Without batch norm the gradient of a batch is the mean of those of its halves."""
    images = some_digits(tmp_path)
    arguments = ["--network", "own_networks:without_batch_norm", "--bits", "4", "--epochs", "2",
                 "--batch", "32", "--images", "64", "--learning-rate", "0.02", "--data", images,
                 "--test-data", images,
                 "--device", "cpu"]  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    # As torchrun starts them.
    processes = [
        Forked(
            ["gp_emq.qat", *arguments, "--out", tmp_path / "two"],
            env={**environment(), **place, "WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert [len(out.splitlines()) for out, _ in said] == [4, 0]
    run(*arguments, "--quiet", "--out", tmp_path / "one")
    one, two = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in one:
        if name.endswith(("scale", "bias")):
            torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-5)
    summaries = [
        json.loads((tmp_path / name / "summary.json").read_text()) for name in ("one", "two")
    ]
    assert summaries[0]["accuracy"] == pytest.approx(summaries[1]["accuracy"], abs=0.005)
    assert summaries[0]["accuracy"] != summaries[0]["start_accuracy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "digits"], "no widths: give --plan, or --bits"),
        (["--bits", "4"], "no network: give --network"),
        (["--bits", "9", "--network", "digits"], "has 9 bits: give 2 to 8"),
        (["--bits", "4", "--recipe", "imagenet"], "unknown recipe 'imagenet': known are digits, "),
        (["--bits", "4", "--network", "digits", "--epochs", "0"], "epochs must be at least 1"),
        (
            ["--bits", "4", "--network", "digits", "--epochs", "x"],
            "must be a whole number of at least 0, got 'x'",
        ),
        (["--bits", "4", "--network", "digits", "--device", "gpu"], "unknown device 'gpu'"),
        (["--bits", "4", "--network", "digits", "--batch", "999"], "batch of 999 needs"),
        (["--bits", "4", "--network", "digits", "--first-last-bits", "no"], "width or 'plan'"),
        (["--bits", "4", "--network", "digits", "--data", "none.npz"], "does not read as images"),
        (["--plan", "missing.json"], "cannot read the plan missing.json"),
        (
            ["--bits", "4", "--network", "own_networks:of_files", "--data", "nowhere"],
            "no folder nowhere/train: give the one that holds train and val",
        ),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    arguments, message, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GpEmqError, match=message) as caught:
        main(arguments)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
