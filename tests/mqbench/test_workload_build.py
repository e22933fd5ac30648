"""Benches that are built of workloads, and of arrays of one's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import own_workloads
import pytest
import torch
from own_workloads import SAMPLES, regression

from gp_emq import bench as command
from gp_emq import rank
from gp_emq.command import exit_status
from gp_emq.errors import BenchError
from gp_emq.farm import FarmSettings
from gp_emq.mqbench import (
    Bench,
    MeasurementSettings,
    Measurer,
    bench_inputs,
    build_bench,
    describe_bench,
    find_protocol,
    read_bench,
)
from gp_emq.mqbench._partial import PartialResults
from gp_emq.networks import Workload, load_images
from gp_emq.ptq import quantize
from gp_emq.quantization import WeightQuantizer

CALIBRATION, COUNT = 8, 6
TESTS = SAMPLES - CALIBRATION


def settings(workload: object, protocol: str = "rtn", **changes: object) -> MeasurementSettings:
    chosen = find_protocol(protocol).with_options(calibration_images=CALIBRATION)
    usual = {
        "network": "own", "weights": None, "data": (), "protocol": chosen, "bits": (2, 4, 8),
        "tests": None, "seed": 0, "arithmetic": "float", "workload": workload,
    }  # fmt: skip
    return MeasurementSettings(**{**usual, **changes})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bench]:
    out = tmp_path_factory.mktemp("built") / "own.safetensors"
    build_bench(settings("own_workloads:regression", "rtn+bn"), count=COUNT, out=out)
    return out, read_bench(out)


def by_hand(row: np.ndarray, method: str = "rtn") -> np.ndarray:
    """Square errors of the test samples after `quantize` has done to the network what row says."""
    workload = regression()
    order = np.random.default_rng((0, 0)).permutation(SAMPLES)
    calibration = workload.part(torch.from_numpy(order[:CALIBRATION]))
    chosen = np.sort(order[CALIBRATION:])
    widths = dict(zip(("0", "3", "4"), map(int, row), strict=True))
    made = quantize(
        calibration, widths, method=method, quantizer=WeightQuantizer(), activation_rule="minmax"
    )
    with torch.no_grad():
        found = made(workload.samples[chosen]) - workload.targets[chosen]
    return (found**2).mean(dim=1).numpy()


def test_it_holds_the_metric_of_the_same_recipe_for_every_sample(built) -> None:
    _, bench = built
    assert (bench.metric, bench.higher_is_better) == ("squared error", False)
    assert (bench.network, bench.protocol) == ("own_workloads:regression", "rtn+bn")
    assert bench.values.shape == (COUNT, TESTS)
    for row, values in zip(bench.configurations[:3], bench.values, strict=False):
        np.testing.assert_allclose(values, by_hand(row, "rtn+bn"), rtol=1e-4, atol=1e-7)
    text = describe_bench(bench)
    assert f"{TESTS}" in text
    assert "lower is better" in text


def test_a_network_of_tokens_is_measured_with_its_table_quantized(tmp_path) -> None:
    out = tmp_path / "words.safetensors"
    line = ["build", "--workload", "own_workloads:words", "--protocol", "rtn", "--configs", "4"]
    line += ["--calibration-images", str(CALIBRATION), "--bits", "2,4,8", "--out", str(out)]
    assert command.main([*line, "--quiet"]) == 0
    bench = read_bench(out)
    # The table reads and writes: one decision of two, and one of the product between.
    assert bench.configurations.shape == (4, 2)
    assert (bench.metric, bench.higher_is_better) == ("divergence", False)
    workload = own_workloads.words()
    order = np.random.default_rng((0, 0)).permutation(SAMPLES)
    calibration = workload.part(torch.from_numpy(order[:CALIBRATION]))
    tests = workload.samples[np.sort(order[CALIBRATION:])]
    for row, values in zip(bench.configurations, bench.values, strict=True):
        widths = {"read": int(row[0]), "middle": int(row[1]), "write": int(row[0])}
        made = quantize(
            calibration, widths, quantizer=WeightQuantizer(), activation_rule="minmax", method="rtn"
        )
        with torch.no_grad():
            before, after = (net(tests).log_softmax(-1) for net in (workload.model, made))
        expected = (before.exp() * (before - after)).sum(-1).mean(1)
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-6)


def test_the_float_networks_metric_is_in_the_provenance(built) -> None:
    _, bench = built
    workload = regression()
    chosen = np.sort(np.random.default_rng((0, 0)).permutation(SAMPLES)[CALIBRATION:])
    with torch.no_grad():
        error = (workload.model(workload.samples[chosen]) - workload.targets[chosen]) ** 2
    assert bench.provenance["float_accuracy"] == pytest.approx(float(error.mean()), rel=1e-5)
    assert f"{float(error.mean()):.3g}"[:4] in describe_bench(bench)


@pytest.mark.slow
def test_an_object_and_workers_measure_the_same(built, tmp_path) -> None:
    _, bench = built
    for name, workload, farm in (
        ("object", regression(), None),
        ("workers", "own_workloads:regression", FarmSettings(jobs=1, backend="loky")),
    ):
        again = build_bench(
            settings(workload, "rtn+bn"), count=COUNT, out=tmp_path / name, farm=farm
        )
        assert np.array_equal(again.values, bench.values), name


def test_workers_of_an_object_are_refused(tmp_path) -> None:
    with pytest.raises(BenchError, match="name the function that returns it"):
        build_bench(settings(regression()), count=2, out=tmp_path / "b", farm=FarmSettings(jobs=2))


def test_a_killed_build_goes_on_from_its_values(built, tmp_path, monkeypatch) -> None:
    _, bench = built
    add, seen = PartialResults.add, []

    def killing(self: PartialResults, *arguments: object) -> None:
        add(self, *arguments)
        seen.append(arguments)
        if len(seen) == 3:
            raise KeyboardInterrupt

    asked, out = settings("own_workloads:regression", "rtn+bn"), tmp_path / "own.safetensors"
    monkeypatch.setattr(PartialResults, "add", killing)
    with pytest.raises(KeyboardInterrupt):
        build_bench(asked, count=COUNT, out=out)
    monkeypatch.undo()
    measure, measured = Measurer.measure, []
    monkeypatch.setattr(
        Measurer, "measure", lambda self, row: measured.append(row) or measure(self, row)
    )
    again = build_bench(asked, count=COUNT, out=out)
    assert len(measured) == COUNT - 3
    assert np.array_equal(again.values, bench.values)


def test_one_number_of_all_samples_is_kept_as_one(tmp_path) -> None:
    out = tmp_path / "worst"
    bench = build_bench(settings(own_workloads.worst()), count=3, out=out)
    assert (bench.metric, bench.values, bench.correct) == ("worst error", None, None)
    assert bench.accuracies.min() > 0


def lost_at_half(bench: Bench) -> float:
    """What the widest of the configurations of half the sizes loses, as the metric says."""
    sizes = bench.configurations @ np.array([40, 64, 16])
    inside = sizes <= np.quantile(sizes, 0.5, method="higher")
    widest = bench.configurations[inside].sum(axis=1)
    losses = bench.accuracies[inside]
    return float(losses[widest == widest.max()].mean() - losses.min())


def test_the_command_builds_shows_and_ranks(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "own.safetensors"
    arguments = [
        "build", "--workload", "own_workloads:regression", "--configs", "12", "--out", str(out),
        "--calibration-images", "8", "--protocol", "rtn", "--bits", "2,4,8", "--quiet",
    ]  # fmt: skip
    assert command.main(arguments) == 0
    assert "12 configurations of own_workloads:regression" in capsys.readouterr().out
    bench = read_bench(out)
    np.testing.assert_allclose(bench.values[0], by_hand(bench.configurations[0]), rtol=1e-4)
    uniform = ["uniform", *arguments[1:3], *arguments[7:13]]
    assert command.main(uniform) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("float   squared error ")
    expected = by_hand(np.array([8, 8, 8])).mean()
    assert float(lines[-1].split()[-1]) == pytest.approx(expected, rel=1e-4)
    asked = ["--bench", str(out), "--proxies", "fit,sum_of_bits", "--quiet", "--split", "all"]
    assert rank.main([*asked, "--workload", "own_workloads:regression", "--wide"]) == 0
    shown = capsys.readouterr().out
    assert "regret: squared error lost within a budget" in shown
    (named,) = (line.split() for line in shown.splitlines() if "  sum_of_bits  " in line)
    assert float(named[-4]) == pytest.approx(lost_at_half(bench), rel=1e-3, abs=1e-6)
    assert exit_status(lambda: rank.main(asked)) == 2
    assert "--workload package.module:function" in capsys.readouterr().err


def test_what_it_was_measured_on_is_what_statistics_are_of(built) -> None:
    _, bench = built
    inputs = bench_inputs(bench, workload="own_workloads:regression")
    order = np.random.default_rng((0, 0)).permutation(SAMPLES)[:CALIBRATION]
    assert torch.equal(inputs.calibration.samples, regression().samples[order])
    other = regression()
    other.samples = other.samples + 1
    with pytest.raises(BenchError, match="holds other samples than bench own"):
        bench_inputs(bench, workload=other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--workload own_workloads", "must be package.module:function"),
        ("--workload nowhere:regression", "no workload 'nowhere:regression'"),
        ("--workload own_workloads:nothing", "no workload 'own_workloads:nothing'"),
        ("--workload own_workloads:NUMBER", "is int: it must be a function"),
        ("--workload own_workloads:module", "returned Linear, not a gp_emq.Workload"),
        ("--workload own_workloads:failing", "fails: RuntimeError: no"),
        ("--workload own_workloads:by_hand_missing", "no workload"),
        ("--workload own_workloads:endless", "nothing is not finite with configuration"),
        ("--workload own_workloads:regression --network digits", "--workload brings network"),
        ("--workload own_workloads:regression --data x.npz", "--workload brings network"),
        ("--workload own_workloads:regression --arithmetic integer", "is for images"),
        ("", "give --network or --workload"),
    ],
)
def test_wrong_workloads_are_refused_in_one_line(arguments, message, tmp_path, capsys) -> None:
    words = ["build", *arguments.split(), "--configs", "2", "--out", str(tmp_path / "b")]
    assert exit_status(lambda: command.main([*words, "--protocol", "rtn", "--quiet"])) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "b").exists()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Digits as arrays of one's own, with labels and without."""
    test = load_images("digits", part="test")
    folder = tmp_path_factory.mktemp("arrays")
    images, labels = test.images[:200].numpy(), test.labels[:200].numpy()
    np.savez(folder / "with.npz", x=images, y=labels)
    np.savez(folder / "without.npz", x=images)
    return folder / "with.npz", folder / "without.npz"


def test_a_bench_of_a_network_with_another_forward_is_not_taken_for_its_own(tmp_path) -> None:
    class Bent(torch.nn.Sequential):
        def forward(self, x):
            return super().forward(x).sin()

    def asked() -> MeasurementSettings:
        torch.manual_seed(0)
        model = Bent(torch.nn.Linear(6, 8), torch.nn.Linear(8, 3))
        return settings(Workload(model, torch.randn(SAMPLES, 6)))

    build_bench(asked(), count=2, out=tmp_path / "own")
    known = (tmp_path / "own").read_bytes()
    build_bench(asked(), count=2, out=tmp_path / "own")
    Bent.forward = torch.nn.Sequential.forward
    with pytest.raises(BenchError, match="holds a bench with other settings"):
        build_bench(asked(), count=2, out=tmp_path / "own")
    assert (tmp_path / "own").read_bytes() == known


def test_arrays_of_ones_own_are_measured(digits, tmp_path) -> None:
    with_labels, without = digits
    asked = settings(None, network="digits", data=(with_labels,))
    bench = build_bench(asked, count=3, out=tmp_path / "with")
    assert (bench.images, bench.metric) == (200 - CALIBRATION, "top-1")
    # Against measuring one of them by hand, through `quantize`.
    measurer = Measurer(asked)
    order = np.random.default_rng((0, 0)).permutation(200)
    data = np.load(with_labels)
    rest = np.sort(order[CALIBRATION:])
    network = measurer.network
    made = quantize(
        network.model,
        {layer.name: int(bench.configurations[0][layer.entry]) for layer in network.layers},
        data["x"][order[:CALIBRATION]],
        quantizer=WeightQuantizer(),
        activation_rule="minmax",
        method="rtn",
    )
    found = made(torch.from_numpy(data["x"][rest])).argmax(1).numpy()
    agreement = (bench.correctness()[0] == (found == data["y"][rest])).mean()
    assert agreement > 0.98  # sums in another order may turn a single image
    unlabelled = build_bench(replace(asked, data=(without,)), count=3, out=tmp_path / "without")
    assert unlabelled.provenance["float_accuracy"] == 1
    assert "the float network's answers count as right" in describe_bench(unlabelled)
    with pytest.raises(BenchError, match=r"give their \.npz file by --data"):
        bench_inputs(bench)
    assert len(bench_inputs(bench, data=with_labels).calibration) == CALIBRATION
