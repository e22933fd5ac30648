import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis._agreement import agreement
from analysis._formulas import Formulas, shortened
from analysis._rejections import rejection_shares
from analysis._run_data import bench_of, progress_of
from gp_emq.correlation import bootstrap_interval
from gp_emq.store import GenerationRow, IndividualRow, RunStore


def test_agreement_is_kendall_tau_with_the_interval_of_the_summary():
    random = np.random.default_rng(3)
    accuracies = random.normal(size=60)
    scores = accuracies + random.normal(size=60)
    found = agreement(scores, accuracies)
    assert found.tau == pytest.approx(stats.kendalltau(scores, accuracies).statistic)
    assert (found.low, found.high) == bootstrap_interval(scores, accuracies)
    assert str(found) == f"{found.tau:.2f} [{found.low:.2f}, {found.high:.2f}]"


def test_a_difference_of_agreements_is_paired():
    random = np.random.default_rng(4)
    accuracies = random.normal(size=80)
    good, bad = accuracies + 0.3 * random.normal(size=80), random.normal(size=80)
    low, high = agreement(good, accuracies).minus(agreement(bad, accuracies))
    assert 0 < low < high < 2
    assert agreement(good, accuracies).minus(agreement(good, accuracies)) == (0.0, 0.0)


def test_scores_are_sums_over_the_entries(finished_run):
    with RunStore.open(finished_run, readonly=True) as store:
        bench = bench_of(store)
    table = np.arange(60, dtype=np.float64).reshape(20, 3)
    expected = [
        sum(table[entry, width - 2] for entry, width in enumerate(configuration))
        for configuration in bench.configurations[:5]
    ]
    # The same up to one shift for all.
    np.testing.assert_allclose(np.diff(bench.scores(table)[:5]), np.diff(expected), atol=1e-9)


def generation(number, proposals, rejections):
    return GenerationRow(
        generation=number, population=(), best_training=0.0, median_training=0.0,
        best_validation=0.0, diversity=0.0, evaluations=0, proposals=proposals,
        rejections=rejections, seconds=0.0,
    )  # fmt: skip


def test_shares_of_rejections_are_per_proposal_of_the_generation():
    rows = [generation(0, 10, {"a": 5}), generation(1, 30, {"a": 2, "b: x": 4, "b: y": 6})]
    reasons, shares = rejection_shares(rows)
    assert reasons == ["b", "a"]
    np.testing.assert_allclose(shares, [[0.0, 0.5], [0.5, 0.1]])


def test_rare_reasons_are_added_up():
    rows = [generation(0, 100, {"a": 40, "b": 30, "c": 20, "d": 5})]
    reasons, shares = rejection_shares(rows, most=3)
    assert reasons == ["a", "b", "other reasons"]
    np.testing.assert_allclose(shares[:, 0], [0.4, 0.3, 0.25])


def test_no_rejections_are_no_shares():
    reasons, shares = rejection_shares([generation(0, 0, {})])
    assert reasons == []
    assert shares.shape == (0, 1)


def individual(id_, number, training, validation):
    return IndividualRow(
        id=id_, generation=number, place=0, attempt=0, operator="fresh", parents=(),
        expression="weight", canonical="weight", size=1, depth=0, training_tau=training,
        validation_tau=validation, sign=1,
    )  # fmt: skip


def test_the_best_formula_so_far_keeps_its_validation():
    rows = [generation(number, 0, {}) for number in range(3)]
    found = [individual(1, 0, 0.5, 0.1), individual(2, 1, 0.4, 0.9), individual(3, 2, 0.6, 0.3)]
    progress = progress_of(rows, found)
    assert progress.training.tolist() == [0.5, 0.5, 0.6]
    assert progress.validation.tolist() == [0.1, 0.1, 0.3]


@given(st.text(max_size=60), st.integers(3, 60))
def test_shortened_text_has_room(text, length):
    short = shortened(text, length)
    assert len(short) == min(len(text), length)
    assert short == text or "…" in short


def test_formulas_are_mathematics_where_they_can_be(tmp_path):
    meta = {"config": {"primitives": "a/file/that/moved.py"}}
    with RunStore.create(tmp_path, meta, {}) as store:
        formulas = Formulas(store)
    assert formulas("frobenius_norm(quantization_perturbation)") == "‖ΔW‖"
    assert formulas("my_operator(weight)") == "my_operator(weight)"
