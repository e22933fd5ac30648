import numpy as np
import pytest
from stand_in import StandIn, problem_of

from gp_emq.measured._model import EffectModel, Measurement, _Data

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
    assert sum(effects.weights.values()) == pytest.approx(1)
    expected = np.zeros(len(measured))
    for chosen, counts in effects.weights.items():
        guess = chosen.scale * model._harm
        inverse = np.linalg.pinv(model._prior(chosen), hermitian=True, rcond=1e-12)
        noise = [
            item.variance + (chosen.misfit * (model.loss + abs(item.difference))) ** 2
            for item in measured
        ]
        for out in range(len(measured)):
            # Weighted ridge regression of the others in its primal form.
            others = [place for place in range(len(measured)) if place != out]
            rows = np.stack([model.row(measured[place].configuration) for place in others])
            surplus = [measured[place].difference for place in others] - rows @ guess
            weight = np.diag([1 / noise[place] for place in others])
            found = np.linalg.solve(inverse + rows.T @ weight @ rows, rows.T @ weight @ surplus)
            expected[out] += counts * (model.row(measured[out].configuration) @ (guess + found))
    np.testing.assert_allclose(model.left_out(measured, effects), expected, rtol=1e-4, atol=1e-6)


def test_measurements_tell_the_scale_where_the_loss_of_the_start_does_not() -> None:
    # Losses as of labels, to which the float network's own belongs, or a start that happens to lose
    # less than the float network: the table's harms are a twentieth of the true ones all the same.
    network, start = StandIn(HARMS), (3, 3, 3, 3)
    for loss in (100.0, 1e-6, -0.01):
        model = EffectModel(problem_of(-HARMS / 20), start, loss)
        true = network.true_loss(start)
        measured = [Measurement(one, network.true_loss(one) - true, 1e-6) for one in PLANS]
        effects = model.fitted(measured)
        likeliest = max(effects.weights, key=effects.weights.__getitem__)
        assert likeliest.scale == pytest.approx(20, rel=1e-3)
        plan = (4, 3, 2, 3)
        change = network.true_loss(plan) - true
        assert model.row(plan) @ effects.mean == pytest.approx(change, rel=0.1)


def test_differences_that_are_noise_tell_no_scale(model) -> None:
    measured = [Measurement(plan, (-1) ** place * 1e-3, 1.0) for place, plan in enumerate(PLANS)]
    scales = {one.scale for one in model.fitted(measured).weights}
    assert scales == {one.scale for one in model.fitted([]).weights}


def test_what_is_known_is_a_mixture_over_choices(model) -> None:
    measured = measurements()
    effects = model.fitted(measured)
    data = _Data.of(model, measured)
    draws = []
    generator = np.random.default_rng(1)
    for chosen, weight in effects.weights.items():
        mean, covariance = data.effects(model._prior(chosen), chosen)
        draws.append(generator.multivariate_normal(mean, covariance, round(100_000 * weight)))
    drawn = np.concatenate(draws)
    assert len(draws) > 1
    np.testing.assert_allclose(drawn.mean(axis=0), effects.mean, atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), effects.covariance, atol=0.01)


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
