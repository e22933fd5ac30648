"""Benches of a metric that is no top-1 accuracy."""

import json

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import BenchError
from gp_emq.mqbench import (
    Bench,
    bench_quality,
    describe_bench,
    read_bench,
    workload_bench,
    write_bench,
)
from gp_emq.networks import Metric, Workload
from gp_emq.objectives import BenchObjective

SAMPLES, COUNT = 9, 16


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean(dim=1)


@pytest.fixture(scope="module")
def workload() -> Workload:
    numbers = torch.Generator().manual_seed(1)
    inputs = torch.randn(SAMPLES, 5, generator=numbers)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 2))
    targets = model(inputs).detach() + 0.01 * torch.randn(SAMPLES, 2, generator=numbers)
    metric = Metric("squared error", squared_error, higher_is_better=False)
    return Workload(model, (inputs, targets), loss=squared_error, metric=metric)


@pytest.fixture(scope="module")
def bench(workload: Workload) -> Bench:
    return workload_bench(workload, workload, name="own", bits=(2, 4, 8), count=COUNT)


def test_it_holds_the_metric_of_every_sample_under_every_configuration(
    workload: Workload, bench: Bench
) -> None:
    assert (bench.metric, bench.higher_is_better) == ("squared error", False)
    assert bench.values.shape == (COUNT, SAMPLES)
    assert np.allclose(bench.accuracies, bench.values.mean(axis=1))
    # The network without quantization errs by hardly anything, the coarsest by the most.
    widths = bench.configurations.sum(axis=1)
    assert bench.accuracies[widths.argmax()] < bench.accuracies[widths.argmin()]
    assert stats.kendalltau(widths, bench.accuracies).statistic < -0.3


def test_fitness_is_the_tau_with_the_metric_turned(bench: Bench) -> None:
    table = np.tile([2.0, 4.0, 8.0], (3, 1)) * np.array([[1.0], [2.0], [3.5]])
    scores = np.array(
        [sum(table[e, (2, 4, 8).index(b)] for e, b in enumerate(c)) for c in bench.configurations]
    )
    training = bench.training
    expected = stats.kendalltau(scores[training], -bench.accuracies[training]).statistic
    (measured,) = BenchObjective(bench).measure([(table,)])
    assert measured.sign == 1
    assert measured.training == pytest.approx(expected)


def test_a_search_finds_formulas_for_it(workload: Workload, bench: Bench, tmp_path) -> None:
    statistics = gp_emq.collect_statistics(workload, bits=bench.bits, cache=tmp_path)
    found = gp_emq.search(
        BenchObjective(bench), statistics=statistics, generations=1, population=6, seed=1
    )
    table = np.asarray(found.best.table(statistics))
    assert np.allclose(found.best.table(workload, bits=bench.bits), table)
    places = np.searchsorted(bench.bits, bench.configurations)
    scores = table[np.arange(table.shape[0]), places].sum(axis=1)
    chosen = bench.training
    expected = stats.kendalltau(scores[chosen], -bench.accuracies[chosen]).statistic
    assert found.best.training == pytest.approx(expected, abs=1e-6)


def test_it_reads_back_as_it_was_written(bench: Bench, tmp_path) -> None:
    write_bench(bench, tmp_path / "own.safetensors")
    read = read_bench(tmp_path / "own.safetensors")
    assert (read.metric, read.higher_is_better) == (bench.metric, False)
    assert np.array_equal(read.values, bench.values)
    text = describe_bench(read)
    assert "squared error" in text
    assert "lower is better" in text
    quality = bench_quality(read)
    assert quality.sampling_error == pytest.approx(
        np.sqrt((stats.sem(bench.values, axis=1) ** 2).mean()), rel=1e-4
    )


def test_a_metric_of_all_samples_has_no_sampling_error(workload: Workload, tmp_path) -> None:
    worst = Metric("worst", lambda o, t: (o - t).abs().max(), False, per_sample=False)
    other = Workload(
        workload.model, (workload.samples, workload.targets), loss=squared_error, metric=worst
    )
    bench = workload_bench(other, other, name="worst", bits=(2, 8), count=6)
    assert bench.values is None
    assert "the bench has no values of its samples" in describe_bench(bench)


def test_top_1_stays_packed_bits_in_a_file_without_a_metric(tmp_path) -> None:
    numbers = torch.Generator().manual_seed(2)
    images = torch.randn(SAMPLES, 1, 3, 3, generator=numbers)
    labels = torch.randint(0, 4, (SAMPLES,), generator=numbers)
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(12, 4))
    workload = Workload(model, images, labels)
    bench = workload_bench(workload, workload, name="usual", bits=(2, 8), count=4)
    (place,) = np.flatnonzero((bench.configurations == 8).all(axis=1))
    right = (model(images).argmax(dim=1) == labels).numpy()
    assert np.array_equal(bench.correctness()[place], right)
    path = tmp_path / "usual.safetensors"
    write_bench(bench, path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header) == {"__metadata__", "configurations", "accuracies", "correct", "split"}
    assert "higher_is_better" not in header["__metadata__"]["gp_emq_bench"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": ""}, "has no name"),
        ({"values": np.zeros((COUNT, SAMPLES), np.float32)}, "mean over its samples is 0"),
        ({"metric": "top-1", "higher_is_better": False}, "of top-1 higher is better"),
        ({"correct": np.zeros((COUNT, 2), np.uint8), "values": None}, "no sample has right"),
    ],
)
def test_parts_that_do_not_fit_are_refused(bench: Bench, changes, message) -> None:
    with pytest.raises(BenchError, match=message):
        Bench(**{**vars(bench), **changes})
