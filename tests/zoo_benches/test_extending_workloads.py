"""Benches of workloads and of arrays of one's own, with plans added."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import own_workloads
import pytest
import torch

from gp_emq import bench as command
from gp_emq.command import exit_status
from gp_emq.errors import BenchError
from gp_emq.farm import FarmSettings
from gp_emq.mqbench import Bench, Measurer, read_bench
from gp_emq.networks import load_images
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import quantize
from gp_emq.quantization import WeightQuantizer
from gp_emq.zoo_benches import extend_bench

NAME, CALIBRATION = "own_workloads:regression", 8
BUILD = (
    "build", "--configs", "6", "--calibration-images", str(CALIBRATION), "--protocol", "rtn",
    "--bits", "2,4,8", "--quiet", "--arithmetic", "float", "--jobs", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "own.safetensors"
    assert command.main([*BUILD, "--workload", NAME, "--out", str(out)]) == 0
    return out


@pytest.fixture
def bench(file: Path) -> Bench:
    return read_bench(file)


@pytest.fixture
def proxies():
    return [load_proxy("mse"), load_proxy("sum_of_bits")]


def test_the_command_keeps_what_was_there_and_measures_the_plans(
    file, bench, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    measure, measured = Measurer.measure, []
    monkeypatch.setattr(
        Measurer,
        "measure",
        lambda self, row: measured.append(tuple(map(int, row))) or measure(self, row),
    )
    out = tmp_path / "longer.safetensors"
    words = ["extend", str(file), "--from", "mse", "--workload", NAME, "--out", str(out)]
    assert command.main([*words, "--quiet", "--jobs", "1"]) == 0
    longer, old = read_bench(out), len(bench.split)
    more = len(longer.split) - old
    assert more > 2
    assert f"{more} configurations more, {old + more} of {NAME}" in capsys.readouterr().out
    for name in ("configurations", "accuracies", "values", "split"):
        assert np.array_equal(getattr(longer, name)[:old], getattr(bench, name)), name
    # Each new configuration once, and the first of the old ones again.
    assert sorted(measured) == sorted(
        map(tuple, [*longer.configurations[old:].tolist(), bench.configurations[0].tolist()])
    )
    np.testing.assert_allclose(longer.values[-1], by_hand(longer.configurations[-1]), rtol=1e-4)
    assert longer.accuracies[-1] == pytest.approx(longer.values[-1].mean(), rel=1e-5)


def by_hand(row: np.ndarray) -> np.ndarray:
    """Square errors of the test samples after `quantize` has done to the network what row says."""
    workload = own_workloads.regression()
    order = np.random.default_rng((0, 0)).permutation(own_workloads.SAMPLES)
    made = quantize(
        workload.part(torch.from_numpy(order[:CALIBRATION])),
        dict(zip(("0", "3", "4"), map(int, row), strict=True)),
        quantizer=WeightQuantizer(),
        activation_rule="minmax",
        method="rtn",
    )
    chosen = np.sort(order[CALIBRATION:])
    with torch.no_grad():
        found = made(workload.samples[chosen]) - workload.targets[chosen]
    return (found**2).mean(dim=1).numpy()


def test_an_object_extends_it_to_the_same(bench, proxies, tmp_path) -> None:
    by_name = extend_bench(bench, proxies, tmp_path / "name", workload=NAME)
    by_object = extend_bench(
        bench, proxies, tmp_path / "object", workload=own_workloads.regression()
    )
    assert np.array_equal(by_name.values, by_object.values)
    assert np.array_equal(by_name.split, by_object.split)


def test_a_metric_of_all_samples_stays_one_number(proxies, tmp_path) -> None:
    out = tmp_path / "worst.safetensors"
    assert command.main([*BUILD, "--workload", "own_workloads:worst", "--out", str(out)]) == 0
    bench = read_bench(out)
    longer = extend_bench(bench, proxies, out, workload="own_workloads:worst")
    assert longer.values is None
    assert len(longer.accuracies) > 6
    assert np.array_equal(longer.accuracies[:6], bench.accuracies)


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("own_workloads:wide", "measured with other parameters than are here"),
        ("own_workloads:worst", "measured with another metric than are here: squared error, not"),
        ("own_workloads:shifted", "measured with other calibration samples than are here"),
        ("own_workloads:halved", r"the squared error of its first configuration is now"),
        (None, "give it by --workload package.module:function"),
        ("digits", "must be package.module:function"),
    ],
)
def test_another_workload_is_refused_in_one_line(file, workload, message, tmp_path, capsys) -> None:
    out = tmp_path / "longer.safetensors"
    words = ["extend", str(file), "--from", "mse", "--out", str(out), "--quiet", "--jobs", "1"]
    words += [] if workload is None else ["--workload", workload]
    assert exit_status(lambda: command.main(words)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_what_is_given_beside_it_is_refused(file, bench, proxies, tmp_path, capsys) -> None:
    words = ["extend", str(file), "--from", "mse", "--workload", NAME, "--network", "digits"]
    assert exit_status(lambda: command.main(words)) == 2
    assert "--workload brings network and data along" in capsys.readouterr().err
    with pytest.raises(BenchError, match="name the function that returns it"):
        extend_bench(
            bench,
            proxies,
            tmp_path / "b",
            workload=own_workloads.regression(),
            farm=FarmSettings(jobs=2),
        )
    of_images = replace(bench, provenance={**bench.provenance, "data_set": "digits"})
    with pytest.raises(BenchError, match="not of a workload: leave --workload out"):
        extend_bench(of_images, proxies, tmp_path / "b", workload=NAME)


def test_a_bench_of_ones_own_arrays_takes_their_file(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    test, out = load_images("digits", part="test"), tmp_path / "arrays.safetensors"
    for name, start in (("mine", 0), ("other", 64)):
        x, y = (values[start : start + 64].numpy() for values in (test.images, test.labels))
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
    mine, other = ("--data", str(tmp_path / "mine.npz")), ("--data", str(tmp_path / "other.npz"))
    network = ("--network", "plain-digits")
    assert command.main([*BUILD, *network, *mine, "--out", str(out)]) == 0
    before = read_bench(out)
    assert before.images == 64 - CALIBRATION
    words = ["extend", str(out), "--from", "sum_of_bits", "--quiet", "--jobs", "1"]
    for given, message in (
        ((), "arrays of one's own: give their .npz file by --data"),
        (other, "measured with other calibration samples than are here"),
    ):
        assert exit_status(lambda given=given: command.main([*words, *given])) == 2
        assert message in capsys.readouterr().err
    assert command.main([*words, *mine]) == 0
    longer = read_bench(out)
    assert len(longer.split) > 6
    assert np.array_equal(longer.correct[:6], before.correct)
