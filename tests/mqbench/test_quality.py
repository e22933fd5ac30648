import numpy as np
import pytest

from gp_emq.mqbench import Bench, bench_quality, load_bench
from gp_emq.mqbench._sampling import sample_configurations, split_configurations


def simulated(chances, *, groups, draws=1, seed=0, configurations=None, noise_of_groups=False):
    """A bench whose images are right independently with given chances, (n,)."""
    generator = np.random.default_rng(seed)
    count = len(chances)
    if configurations is None:
        configurations = sample_configurations(count, 10, (2, 3, 4), seed)
    threshold = generator.random((count, 1 if noise_of_groups else draws, groups))
    right = np.broadcast_to(
        np.asarray(chances)[:, None, None] > threshold, (count, draws, groups)
    ).reshape(count, draws * groups)
    return Bench(
        name="simulated",
        network="none",
        layers=tuple(f"layer{i}" for i in range(configurations.shape[1])),
        entries=tuple((i,) for i in range(configurations.shape[1])),
        bits=(2, 3, 4),
        protocol="simulated",
        configurations=configurations,
        accuracies=right.mean(axis=1),
        correct=np.packbits(right, axis=1),
        images=draws * groups,
        split=split_configurations(count, 0),
        groups=groups,
    )


def without_correctness(bench):
    return Bench(**{**vars(bench), "correct": None})


def test_sampling_error_of_independent_images_is_binomial():
    bench = simulated(np.full(50, 0.3), groups=1000)
    expected = np.sqrt(0.3 * 0.7 / 1000)
    assert bench_quality(bench).sampling_error == pytest.approx(expected, rel=0.05)
    imported = bench_quality(without_correctness(bench))
    assert imported.sampling_error == pytest.approx(expected, rel=0.05)
    assert imported.binomial
    assert imported.reliability is None


def test_repeated_draws_of_the_same_image_do_not_shrink_the_error():
    once = simulated(np.full(50, 0.3), groups=500)
    often = simulated(np.full(50, 0.3), groups=500, draws=4, noise_of_groups=True)
    independent = simulated(np.full(50, 0.3), groups=500, draws=4)
    error = bench_quality(once).sampling_error
    assert bench_quality(often).sampling_error == pytest.approx(error, rel=0.05)
    assert bench_quality(independent).sampling_error == pytest.approx(error / 2, rel=0.05)


def test_noise_alone_has_no_reliability_and_no_ceiling():
    quality = bench_quality(simulated(np.full(120, 0.5), groups=400))
    assert abs(quality.reliability) < 0.15
    assert quality.noise_ceiling < 0.45
    assert abs(quality.additive_ceiling) < 0.3


def test_a_clear_ranking_is_reliable():
    quality = bench_quality(simulated(np.linspace(0.1, 0.9, 100), groups=4000))
    assert quality.reliability > 0.93
    assert quality.noise_ceiling > 0.95


@pytest.mark.parametrize("spread", [0.02, 0.05])
def test_the_noise_ceiling_is_what_the_truth_reaches(spread):
    from scipy.stats import kendalltau

    generator = np.random.default_rng(5)
    reached, ceilings, binomial = [], [], []
    for seed in range(6):
        truth = 0.6 + spread * generator.standard_normal(150)
        bench = simulated(truth, groups=1000, seed=seed)
        reached.append(kendalltau(truth, bench.accuracies).statistic)
        ceilings.append(bench_quality(bench).noise_ceiling)
        binomial.append(bench_quality(without_correctness(bench)).noise_ceiling)
    assert np.mean(ceilings) == pytest.approx(np.mean(reached), abs=0.05)
    assert np.mean(binomial) == pytest.approx(np.mean(reached), abs=0.05)


def test_an_additive_bench_reaches_its_additive_ceiling():
    configurations = sample_configurations(300, 10, (2, 3, 4), 0)
    table = np.random.default_rng(1).random((10, 3))
    scores = table[np.arange(10), configurations - 2].sum(axis=1)
    chances = 0.2 + 0.6 * (scores - scores.min()) / np.ptp(scores)
    quality = bench_quality(simulated(chances, groups=20_000, configurations=configurations))
    assert quality.additive_ceiling > 0.9


def test_the_digits_bench_leaves_a_ranking_signal():
    bench = load_bench("digits")
    quality = bench_quality(bench)
    assert len(bench.accuracies) == 425
    assert len(bench.entries) >= 12
    assert quality.spread >= 6 * quality.sampling_error
    assert quality.reliability > 0.9
    assert quality.additive_ceiling > 0.8
    assert 0.55 < quality.mean < 0.9
    assert bench.provenance["float_accuracy"] >= 0.95
    assert quality == bench_quality(bench)
