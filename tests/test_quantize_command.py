import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import Forked

import gp_emq.quantize as command
from gp_emq.allocation import load_plan, save_plan
from gp_emq.errors import GpEmqError
from gp_emq.export import load_quantized, read_record
from gp_emq.export._loading import load_provenance
from gp_emq.networks import load_images, load_network
from gp_emq.qat import QatSettings
from gp_emq.quantize import main

IMAGES = ["--images", "64", "--tests", "400"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan for the digits, as the command for allocations writes it."""
    from gp_emq.allocate import main as allocate

    path = tmp_path_factory.mktemp("plans") / "plan.json"
    allocate(["--proxy", "relative_error", "--images", "32", "--average-bits", "3",
              "--fix", "conv1=8", "--baselines", "none", "--no-plot",
              "--out", str(path)])  # fmt: skip
    return path


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([*IMAGES, *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_accuracies_are_those_of_the_saved_networks(capsys, plan: Path) -> None:
    methods = ("rtn", "rtn+bn", "brecq")
    text = run(capsys, "--plan", plan, "--method", *methods, "--iterations", 5, "--format", "json")
    found = json.loads(text)
    assert found["test_images"] == 400
    assert found["calibration_images"] == 64
    assert found["plan"]["average_bits"] == load_plan(plan).measures.average_bits
    assert [result["method"] for result in found["methods"]] == list(methods)
    network = load_network("digits")
    test = load_images("digits")
    # The same draw, made by hand: 400 of the test images with the seed of test images.
    order = np.random.default_rng((0, 1)).permutation(len(test.labels))[:400]
    chosen = test.subset(torch.from_numpy(order).sort().values)
    with torch.no_grad():
        before = network.model(chosen.images).argmax(1) == chosen.labels
        assert found["float"]["value"] == pytest.approx(float(before.double().mean()))
        for result in found["methods"]:
            assert Path(result["file"]) == plan.with_name(f"plan-{result['method']}.safetensors")
            quantized = load_quantized(result["file"], network.model)
            after = quantized(chosen.images).argmax(1) == chosen.labels
            assert result["accuracy"]["value"] == pytest.approx(float(after.double().mean()))
            assert result["change"]["value"] == pytest.approx(
                float(after.double().mean() - before.double().mean())
            )
            assert result["accuracy"]["low"] < result["accuracy"]["value"]
            widths = load_plan(plan).widths
            assert set(quantized.weights) == set(widths)
            record = read_record(result["file"])
            assert record.plan == load_plan(plan)
            assert record.method == result["method"]
            assert record.settings["iterations"] == (5 if result["method"] == "brecq" else 0)
            assert record.settings["calibration_images"] == 64


def test_the_table_shows_every_method_beside_the_float_network(capsys, plan: Path) -> None:
    lines = run(capsys, "--plan", plan, "--method", "rtn", "rtn+bn").splitlines()
    assert lines[0] == f"digits as {plan} says"
    assert lines[1].startswith("2.9")
    assert "400 test images; 64 calibration images" in lines
    head = next(place for place, line in enumerate(lines) if line.startswith("network "))
    assert [line.split()[0] for line in lines[head + 2 : head + 5]] == ["float", "rtn", "rtn+bn"]
    assert not any("note" in line for line in lines)


def test_equal_calls_give_equal_bytes(capsys, plan: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    texts = [run(capsys, "--plan", plan, "--out", file, "--no-cache") for file in files]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert texts[0] == texts[1]
    run(capsys, "--plan", plan, "--out", files[1], "--seed", "1")
    assert files[0].read_bytes() != files[1].read_bytes()


def test_options_decide_the_grids(capsys, plan: Path, tmp_path: Path) -> None:
    file = tmp_path / "quantized.safetensors"
    run(capsys, "--plan", plan, "--out", file, "--per-tensor", "--scale-rule", "minmax",
        "--activation-bits", "32")  # fmt: skip
    model = load_network("digits").model
    quantized = load_quantized(file, model)
    assert not quantized.activations
    weight = model.get_submodule("linear").weight.detach()
    width = load_plan(plan).widths["linear"]
    expected = 2 * float(weight.abs().max()) / (2**width - 1)
    assert float(quantized.weights["linear"].parameters.scale) == pytest.approx(expected)


@pytest.mark.slow
def test_a_killed_call_goes_on_and_gives_the_same_bytes(
    plan: Path, tmp_path: Path, own_cache: Path
) -> None:
    out = tmp_path / "resumed.safetensors"
    arguments = ["--plan", str(plan), "--method", "brecq", "--out", str(out), "--images", "64",
                 "--tests", "50", "--iterations", "25"]  # fmt: skip
    environment = {**os.environ, "GP_EMQ_CACHE": str(own_cache)}
    process = Forked(["gp_emq.quantize", *arguments], env=environment)
    try:
        deadline = time.monotonic() + 100
        while len(list(own_cache.rglob("*.safetensors"))) < 3:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in own_cache.rglob("*.safetensors")}
    main(arguments)
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    whole = tmp_path / "whole.safetensors"
    main([*arguments[:5], str(whole), *arguments[6:], "--no-cache"])
    assert out.read_bytes() == whole.read_bytes()


def test_methods_of_other_sizes_show_their_sizes(
    capsys, plan: Path, tmp_path: Path, monkeypatch
) -> None:
    raising = QatSettings(epochs=1, first_last_bits=8)
    monkeypatch.setattr("gp_emq.qat.method_settings", lambda *_, **__: raising)
    plan = Path(shutil.copy(plan, tmp_path))
    printed = run(capsys, "--plan", plan, "--method", "rtn", "qat")
    planned = load_plan(plan)
    assert planned.widths["linear"] < 8
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line}
    assert rows["network"][-2:] == ["bits", "MiB"]
    assert rows["rtn"][-2] == f"{planned.measures.average_bits:.3f}"
    assert float(rows["qat"][-2]) > planned.measures.average_bits
    assert "note: qat does not keep to the plan: linear at 8 bits in training" in printed
    record = read_record(plan.with_name("plan-qat.safetensors"))
    assert record.plan.widths == {**planned.widths, "linear": 8}


def test_training_is_a_method(capsys, plan: Path, tmp_path: Path) -> None:
    arguments = ["--plan", plan, "--method", "rtn", "qat", "--recipe", "digits", "--epochs", "1"]
    found = json.loads(run(capsys, *arguments, "--format", "json"))
    rounded, trained = (result["accuracy"]["value"] for result in found["methods"])
    # Rounding to nearest loses next to nothing here: training must not lose it either.
    assert trained > rounded - 0.01
    assert found["notes"] == []
    assert len({json.dumps(result["measures"]) for result in found["methods"]}) == 1
    file = Path(found["methods"][1]["file"])
    record = read_record(file)
    assert record.method == "qat"
    assert record.plan == load_plan(plan)
    assert record.settings["training"]["epochs"] == 1
    log = file.with_suffix("") / "log.csv"
    assert len(log.read_text().splitlines()) == 2
    # Asked for again, the finished training is taken from its checkpoint.
    before = file.read_bytes(), log.stat().st_mtime_ns
    run(capsys, *arguments)
    assert (file.read_bytes(), log.stat().st_mtime_ns) == before


def test_training_needs_to_know_which_images_are_not_for_tests(plan: Path, tmp_path: Path) -> None:
    images = load_images("digits", part="training")
    np.savez(tmp_path / "own.npz", x=images.images[:90].numpy(), y=images.labels[:90].numpy())
    with pytest.raises(GpEmqError, match=r"own.npz does not say which images to train on"):
        main(["--plan", str(plan), "--method", "qat", "--data", str(tmp_path / "own.npz")])


def test_packed_and_onnx_files_hold_the_same_network(capsys, plan: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    packed, graph = tmp_path / "small.safetensors", tmp_path / "small.onnx"
    out = tmp_path / "whole.safetensors"
    main([*IMAGES, "--plan", str(plan), "--out", str(out), "--packed", str(packed),
          "--onnx", str(graph)])  # fmt: skip
    told = capsys.readouterr()
    assert f"wrote {packed}" in told.err
    assert "stored accounting" in told.err
    assert "stored accounting" not in told.out
    network, images = load_network("digits"), load_images("digits").images[:50]
    quantized = load_quantized(out, network.model)
    assert torch.equal(load_quantized(packed, network.model)(images), quantized(images))
    provenance = load_provenance(packed)
    assert provenance["method"] == "rtn+bn-correction"
    assert provenance["network"] == "digits"
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert (logits.argmax(1) == quantized(images).argmax(1).numpy()).mean() > 0.95


def test_images_of_ones_own_need_no_labels(capsys, tmp_path: Path, plan: Path) -> None:
    images = load_images("digits", part="training")
    arrays = {"x": images.images[:90].numpy(), "y": images.labels[:90].numpy()}
    np.savez(tmp_path / "labelled.npz", **arrays)
    np.savez(tmp_path / "plain.npz", x=arrays["x"])
    found = {}
    for name in ("labelled", "plain"):
        text = run(capsys, "--plan", plan, "--data", tmp_path / f"{name}.npz", "--format", "json")
        found[name] = json.loads(text)
        # At most half of the images calibrate.
        assert (found[name]["calibration_images"], found[name]["test_images"]) == (45, 45)
    assert found["labelled"]["labelled"]
    assert not found["plain"]["labelled"]
    assert found["plain"]["float"]["value"] == 1.0
    text = run(capsys, "--plan", plan, "--data", tmp_path / "plain.npz")
    assert "without labels: the float network's answers count as right" in text


def test_a_plan_for_other_weights_is_said(capsys, tmp_path: Path, plan: Path) -> None:
    from safetensors.torch import save_file

    model = load_network("digits").model
    weights = tmp_path / "weights.safetensors"
    save_file({name: value * 1.01 for name, value in model.state_dict().items()}, weights)
    text = run(capsys, "--plan", plan, "--weights", weights)
    assert "note: the plan was made for other weights" in text


def test_inputs_at_another_width_than_the_plan_counted_with_are_said(capsys, plan: Path) -> None:
    text = run(capsys, "--plan", plan, "--activation-bits", 4)
    assert "note: the plan counts its bit operations with inputs at 8 bits, not 4" in text
    assert "note" not in run(capsys, "--plan", plan, "--activation-bits", 8)


def test_excluded_layers_are_listed(capsys, tmp_path: Path) -> None:
    from gp_emq.allocate import main as allocate

    path = tmp_path / "plan.json"
    allocate(["--proxy", "sum_of_bits", "--images", "8", "--average-bits", "4", "--exclude",
              "linear", "--baselines", "none", "--no-plot", "--out", str(path)])  # fmt: skip
    text = run(capsys, "--plan", path)
    reason = "the plan leaves its layer in float"
    assert f"note: 1 weight stays in float: linear.weight ({reason})" in text
    report = json.loads(run(capsys, "--plan", path, "--format", "json"))
    assert report["in_float"] == ["linear.weight"]
    assert report["in_float_reasons"] == {"linear.weight": reason}


def made_for(method: str, plan: Path, tmp_path: Path) -> Path:
    """Write the plan as one that was made for a method."""
    made = load_plan(plan)
    path = tmp_path / f"for-{len(method)}.json"
    save_plan(replace(made, provenance={**made.provenance, "method": method}), path)
    return path


def test_a_plan_that_was_made_for_a_method_is_quantized_by_it(
    capsys, plan: Path, own_cache: Path, tmp_path: Path
) -> None:
    path = made_for("adaround", plan, tmp_path)
    text = run(capsys, "--plan", path, "--iterations", 3, "--format", "json")
    assert [result["method"] for result in json.loads(text)["methods"]] == ["adaround"]
    assert path.with_name(f"{path.stem}-adaround.safetensors").exists()
    text = run(capsys, "--plan", path, "--method", "rtn", "--format", "json")
    assert [result["method"] for result in json.loads(text)["methods"]] == ["rtn"]
    text = run(capsys, "--plan", plan, "--format", "json")
    assert [result["method"] for result in json.loads(text)["methods"]] == ["rtn+bn-correction"]


@pytest.mark.parametrize("method", ["qat", "rtm"])
def test_a_plan_that_was_made_for_no_known_method_is_refused(
    method: str, plan: Path, tmp_path: Path
) -> None:
    path = made_for(method, plan, tmp_path)
    with pytest.raises(GpEmqError, match=f"made for the method '{method}', and there is none: "):
        main(["--plan", str(path)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--plan is missing"),
        (["--plan", "none.json"], r"cannot read the plan none\.json"),
        (["--plan", "PLAN", "--method", "rtm"], "invalid choice: 'rtm'"),
        (
            ["--plan", "PLAN", "--iterations", "5"],
            "for methods that learn rounding, not the default one",
        ),
        (["--plan", "PLAN", "--activation-bits", "9"], "2 to 8, or 32 for float, not 9"),
        (["--plan", "PLAN", "--method", "rtn", "adaround", "--out", "a"], "one --method"),
        (["--plan", "PLAN", "--method", "rtn", "qat", "--onnx", "a"], "--onnx names one file"),
        (["--plan", "PLAN", "--packed", "missing/a"], "there is no folder missing"),
        (["--plan", "PLAN", "--epochs", "3"], "--epochs is for the method qat"),
        (["--plan", "PLAN", "--method", "qat", "--recipe", "fast"], "unknown recipe 'fast'"),
        (["--plan", "PLAN", "--method", "qat", "--activation-bits", "32"], "must be 2 to 8"),
        (["--plan", "PLAN", "--method", "qat", "--iterations", "5"], "learn rounding, not qat"),
        (["--plan", "PLAN", "--out", "missing/a.safetensors"], "there is no folder missing"),
        (["--plan", "PLAN", "--network", "lenet"], "unknown network 'lenet'"),
        (["--plan", "PLAN", "--data", "missing.npz"], "does not read as images"),
        (["--plan", "PLAN", "--tests", "90000"], "90000 test images: there are 4000"),
        (["--plan", "PLAN", "--network", "small_factories:other"], "has a layer 'conv1', but"),
    ],
)
def test_bad_input_is_one_clear_error(
    arguments: list[str], message: str, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    other = types.ModuleType("small_factories")
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    other.other = lambda: (linear, (1, 8, 8))
    monkeypatch.setitem(sys.modules, "small_factories", other)
    given = [str(plan) if item == "PLAN" else item for item in arguments]
    tests = [] if "--tests" in given else ["--tests", "50"]
    with pytest.raises(GpEmqError, match=message) as caught:
        main([*given, *tests])
    assert "\n" not in str(caught.value)


def test_a_plan_without_a_network_needs_one(tmp_path: Path, plan: Path) -> None:
    from dataclasses import replace

    save_plan(replace(load_plan(plan), provenance={}), tmp_path / "plan.json")
    with pytest.raises(GpEmqError, match="does not say its network: give --network"):
        main(["--plan", str(tmp_path / "plan.json")])


def test_a_users_error_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gp_emq.quantize", "--plan", str(tmp_path / "none.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_methods_are_listed(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--list-methods"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "rtn", "rtn+bias-correction", "rtn+bn", "rtn+bn-correction", "adaround",
        "adaround+bias-correction", "adaround+bn-correction", "brecq", "qat",
    ]  # fmt: skip
    assert "20,000 iterations" in lines[7]


def test_the_function_may_be_called_beside_the_command() -> None:
    network = load_network("digits")
    images = load_images("digits", part="training").images[:8]
    quantized = command(network.model, {"linear": 2}, images)
    assert set(quantized.weights) == {"linear"}


def test_statistics_of_too_few_images_are_said(capsys, plan: Path) -> None:
    line = ("--plan", plan, "--method", "rtn+bn", "--tests", "300", "--images")
    few, many = run(capsys, *line, "4"), run(capsys, *line, "256")
    assert "note: batch norms re-estimated alone change the float network's top-1 by -" in few
    assert "rtn+bn-correction keeps what was trained" in few
    assert "re-estimated" not in many
