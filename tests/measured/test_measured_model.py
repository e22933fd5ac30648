import numpy as np
import pytest
from stand_in import StandIn, problem_of

from gp_emq.measured._model import EffectModel, Measurement

TABLE = -np.outer([1.0, 2.0, 3.0, 4.0], [4.0, 2.0, 1.0])
HARMS = np.outer([2.0, 1.0, 3.0, 2.0], [0.4, 0.2, 0.1])
PLANS = [(2, 3, 4, 3), (4, 2, 2, 4), (3, 3, 3, 3), (2, 2, 4, 4), (4, 4, 2, 2), (3, 2, 4, 3)]


@pytest.fixture(name="model")
def make_model():
    return EffectModel(problem_of(TABLE), (3, 3, 3, 3), StandIn(HARMS).true_loss((3, 3, 3, 3)))


def measurements(variance: float = 1e-4) -> list[Measurement]:
    network = StandIn(HARMS)
    start = network.true_loss((3, 3, 3, 3))
    return [Measurement(plan, network.true_loss(plan) - start, variance) for plan in PLANS]


def test_before_anything_is_measured_the_table_is_what_is_known(model) -> None:
    effects = model.fitted([])
    plan = (2, 3, 4, 3)
    # The harm above an entry's best is 3, 1, 0 times its sensitivity; that of the start is 10.
    scale = model.loss / 10
    assert model.row(plan) @ effects.mean == pytest.approx(scale * (1 * (3 - 1) + 3 * (0 - 1)))


def test_predictions_of_what_is_left_out_are_those_of_the_others(model) -> None:
    measured = measurements()
    effects = model.fitted(measured)
    prior = model._prior(effects.hyperparameters)
    noise = [
        item.variance + (effects.hyperparameters.misfit * (model.loss + abs(item.difference))) ** 2
        for item in measured
    ]
    expected = []
    for out in range(len(measured)):
        # Weighted ridge regression of the others in its primal form.
        others = [place for place in range(len(measured)) if place != out]
        rows = np.stack([model.row(measured[place].configuration) for place in others])
        guess = model._harm
        surplus = [measured[place].difference for place in others] - rows @ guess
        weight = np.diag([1 / noise[place] for place in others])
        inverse = np.linalg.pinv(prior, hermitian=True, rcond=1e-12)
        found = np.linalg.solve(inverse + rows.T @ weight @ rows, rows.T @ weight @ surplus)
        expected.append(model.row(measured[out].configuration) @ (guess + found))
    np.testing.assert_allclose(model.left_out(measured, effects), expected, rtol=1e-4, atol=1e-6)


def test_measurements_bring_effects_nearer_to_the_truth(model) -> None:
    network, plan = StandIn(HARMS), (4, 3, 2, 3)
    true = network.true_loss(plan) - model.loss
    before, after = (
        float(model.row(plan) @ model.fitted(measured).mean) for measured in ([], measurements())
    )
    assert abs(after - true) < 0.5 * abs(before - true)


def test_draws_have_the_mean_and_spread_of_what_is_known(model) -> None:
    effects = model.fitted(measurements())
    drawn = model.drawn(effects, np.random.default_rng(0), 20_000)
    np.testing.assert_allclose(drawn.mean(axis=0), effects.mean, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), effects.covariance, atol=0.02)


def test_scores_of_effects_are_their_negatives(model) -> None:
    effects = np.arange(12.0)
    scores = model.problem_of(effects).scores
    assert scores[0, 2] == 0
    assert scores[3, 4] == -11
