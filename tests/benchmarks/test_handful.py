"""Tables that a handful of a bench's measurements corrects."""

import itertools

import numpy as np
import pytest
from scipy.stats import kendalltau, ttest_1samp

from benchmarks import handful
from benchmarks.ceilings import additive_scores, fitted_scores
from gp_emq.allocation import Problem, search_space
from gp_emq.measured._model import EffectModel, Hyperparameters
from gp_emq.mqbench import load_bench
from gp_emq.networks import Layer

BENCH = "plain-digits-rtn-channel"


def layers_of(names) -> list[Layer]:
    return [
        Layer(name, "Linear", (10, 10), 100, 0, 100, place, place)
        for place, name in enumerate(names)
    ]


@pytest.fixture(scope="module", name="given")
def make_given() -> handful.Measured:
    """Take a shipped bench, with a table that knows of widths and of no layer."""
    bench = load_bench(BENCH)
    layers = layers_of(bench.layers)
    table = -np.tile([4.0, 2.0, 1.0], (len(layers), 1))
    return handful.Measured.of(bench, Problem.of(table, search_space(layers, bench.bits), ()))


def test_configurations_lose_of_the_float_networks_accuracy(given) -> None:
    bench = given.bench
    assert given.losses == pytest.approx(bench.provenance["float_accuracy"] - bench.accuracies)
    change = given._change(3, 5)
    assert change.difference == pytest.approx(bench.accuracies[5] - bench.accuracies[3])
    lost = given.known[5].astype(float) - given.known[3]
    by_base = [lost[base :: bench.groups].mean() for base in range(bench.groups)]
    assert change.variance == pytest.approx(np.var(by_base, ddof=1) / bench.groups)


def test_measurements_tell_of_layers_what_the_table_does_not(given) -> None:
    chosen = given.telling(range(120), 32)
    assert len(set(chosen)) == 32
    assert set(chosen) <= {*range(120)}
    assert chosen[0] == max(range(120), key=lambda place: given.scores[place])
    left = np.arange(120, len(given.plans))
    before, after = (
        kendalltau(scores[left], given.bench.accuracies[left]).statistic
        for scores in (given.scores, given.corrected(chosen))
    )
    assert after > before + 0.05


def test_what_is_fitted_to_all_others_scores_each(given) -> None:
    bench = given.bench
    found = fitted_scores(bench.configurations, bench.oriented)
    assert kendalltau(found, bench.oriented).statistic > 0.7
    few = additive_scores(bench.configurations, bench.oriented, np.arange(8), 1.0)
    assert few.shape == found.shape


def test_the_table_has_parts_ways_and_differences_by_kinds() -> None:
    names = (BENCH.replace("plain", "wide"), BENCH.replace("plain", "axial"))
    taus = {
        name: {"drawn, 8: the table": 0.5, "drawn, 8: drawn": after, "drawn, 8: fitted": 0.8}
        for name, after in zip(names, (0.6, 0.7), strict=True)
    }
    head, _, line = handful.table_of(taus)
    assert head.startswith("| measured | validation (2): table, corrected, fitted |")
    low, high = ttest_1samp([0.1, 0.2], 0.0).confidence_interval()
    assert line.startswith(
        f"| drawn, 8 | 0.500, 0.650, 0.800 | +0.150 [{low:+.3f}, {high:+.3f}] | -0.150 ["
    )


def test_plans_that_tell_the_most_leave_the_least_unknown() -> None:
    harms = np.outer([1.0, 2.0, 3.0, 4.0], [3.0, 1.0, 0.0])
    problem = Problem.of(-harms, search_space(layers_of("abcd"), (2, 3, 4)), ())
    model = EffectModel(problem, (3, 3, 3, 3), 1.0)
    plans = list(itertools.product((2, 3, 4), repeat=4))
    chosen = handful.informative(model, plans, 6)
    assert len(set(chosen)) == 6
    assert handful.informative(model, chosen, 9) == handful.informative(model, chosen, 6)
    assert handful.informative(model, [], 3) == []

    def unknown(some) -> float:
        """The logarithm of how much the effects' volume shrinks, by its definition."""
        rows = np.stack([model.row(plan) for plan in some])
        noise = (0.1 * (10 + np.abs(rows @ harms.ravel()))) ** 2
        prior = model._prior(Hyperparameters(1.0, 0.5, 0.2, 0.1))
        whole = np.eye(len(rows)) + rows @ prior @ rows.T / noise[:, None]
        return float(np.linalg.slogdet(whole)[1])

    generator = np.random.default_rng(0)
    others = [[plans[place] for place in generator.choice(81, 6, False)] for _ in range(200)]
    assert unknown(chosen) > max(map(unknown, others))
