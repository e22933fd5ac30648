"""Constants that are fitted: better in training, and taken only where they pay elsewhere."""

import dataclasses

import numpy as np
import pytest

from gp_emq.errors import RunError
from gp_emq.evolution import Individual, Measurement, Outcome
from gp_emq.experiment import RunConfiguration
from gp_emq.experiment._fitting import EVALUATIONS, Fitting, verdict, worth_fitting
from gp_emq.experiment._validation import Judged
from gp_emq.proxies import language, parse_expression
from gp_emq.store import FittedFormula, IndividualRow

X, Y = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 0.5]]), np.array([[2.0, 1.0, 1.0], [0.5, 4.0, 9.0]])


class Nearness:
    """Worth more the nearer the table of a formula is to one that constants can reach."""

    networks = ("one",)

    def __init__(self, wanted: np.ndarray) -> None:
        self.wanted, self.calls = wanted, 0

    def measure(self, formulas):
        self.calls += len(formulas)
        return [self._one(table) for (table,) in formulas]

    def _one(self, table) -> Measurement:
        worth = 1 / (1 + float(np.abs(table - self.wanted).sum()))
        return Measurement(1, worth, worth / 2, ((worth, worth / 2),), list, list)


def evaluate(texts: list[str]) -> list[Outcome]:
    """Read formulas of two statistics as numpy does, independently of the project's evaluator."""
    return [Outcome((_value(parse_expression(text, language())),), None, 0.0) for text in texts]


def _value(tree):
    stack = []
    for node in reversed(tree):
        if node.arity == 0:
            known = {"quantization_mse": X, "bits": Y}
            stack.append(known[node.name] if node.name in known else float(node.name))
            continue
        one, other = (stack.pop() for _ in range(2))
        name = node.name.split("__")[0]
        stack.append(
            {"add": np.add, "multiply": np.multiply, "power": np.power, "scaled": np.multiply}[
                name
            ](one, other)
        )
    return stack[0]


def individual(text: str, worth: float) -> Individual:
    tree = parse_expression(text, language())
    row = IndividualRow(
        id=7, generation=2, place=0, attempt=0, operator="mutation", parents=(3,),
        expression=text, canonical=text, size=len(tree), depth=tree.height, training_tau=worth,
    )  # fmt: skip
    return Individual(list(tree), row, Measurement(1, worth, worth, ((worth, worth),), list, list))


def fitted(text: str, wanted: np.ndarray):
    objective = Nearness(wanted)
    (start,) = objective.measure([(_value(parse_expression(text, language())),)])
    steps = []
    fitting = Fitting(language(), objective, evaluate, lambda: steps.append(1))
    return fitting.fit(individual(text, start.training)), objective, steps


def test_constants_are_found_where_they_lie() -> None:
    fit, objective, steps = fitted("add(quantization_mse, bits)", X + 3.5 * Y)
    assert fit.individual.expression == "add(quantization_mse, scaled(bits, 3.5))"
    assert fit.individual.tau == pytest.approx(1)
    assert fit.before < 0.1
    assert fit.evaluations < objective.calls + 1 <= len(steps) + 1
    assert len(steps) <= 2 * EVALUATIONS * 5 + 4 + 3  # two fits, four places, and three looks
    row = fit.individual.row
    assert (row.id, row.parents, row.operator) == (7, (7,), "constants")
    np.testing.assert_array_equal(row.tables[0], X + 3.5 * Y)
    assert row.size == len(fit.individual) == 5


def test_an_exponent_is_found_and_the_same_every_time() -> None:
    found = [fitted("multiply(quantization_mse, bits)", X**1.7 * Y)[0] for _ in range(2)]
    assert found[0].individual.expression == "multiply(power(quantization_mse, 1.7), bits)"
    assert found[0].individual.expression == found[1].individual.expression
    assert found[0].individual.row == found[1].individual.row


def test_what_no_constant_improves_is_left_alone() -> None:
    assert fitted("add(quantization_mse, bits)", X + Y)[0] is None


def judged(one, taus, error=0.01) -> Judged:
    return Judged(one, taus, error)


def test_a_constant_pays_where_networks_agree_that_it_does() -> None:
    fit, *_ = fitted("add(quantization_mse, bits)", X + 3.5 * Y)
    networks = ("a", "a", "b", "c")
    plain = judged("plain", (0.5, 0.6, 0.7, 0.4))
    # By networks it gains 0.02, 0.03 and 0.025: 0.025 ± 0.005/√3.
    found = verdict(fit, judged(fit.individual, (0.51, 0.63, 0.73, 0.425)), plain, networks)
    assert found.gain == pytest.approx(0.025)
    assert found.standard_error == pytest.approx(0.005 / np.sqrt(3))
    assert found.pays
    # 0.02, 0.03 and −0.02: 0.01 ± 0.0153.
    assert not verdict(fit, judged(fit.individual, (0.51, 0.63, 0.73, 0.38)), plain, networks).pays
    nowhere = verdict(fit, judged(fit.individual, None), plain, networks)
    assert not nowhere.pays


def test_the_shortest_that_are_close_to_the_best_are_fitted() -> None:
    sizes = {9: 0.70, 3: 0.695, 5: 0.692, 4: 0.65, 7: 0.691, 12: 0.70}
    found = worth_fitting([judged("n" * size, (tau,)) for size, tau in sizes.items()])
    assert [len(one) for one in found] == [3, 5, 7]


def test_a_run_that_fits_must_be_able_to_tell_whether_it_pays() -> None:
    with pytest.raises(RunError, match="--fit-constants needs --validate-on"):
        RunConfiguration(fit_constants=True)


def test_what_is_kept_of_a_fitted_formula_gives_it_back() -> None:
    fit, *_ = fitted("add(quantization_mse, bits)", X + 3.5 * Y)
    kept = FittedFormula.of(fit.individual.row)
    parent = individual("add(quantization_mse, bits)", 0.1).row
    assert kept.row(parent) == dataclasses.replace(fit.individual.row, seconds=parent.seconds)
    np.testing.assert_array_equal(kept.row(parent).tables[0], X + 3.5 * Y)
    ragged = dataclasses.replace(kept.benches[0], table=((1.0, 2.0), (1.0,)))
    for damaged in (
        dataclasses.replace(kept, sign=0),
        dataclasses.replace(kept, benches=(ragged,)),
    ):
        with pytest.raises(RunError, match="fitted of individual 7 is damaged"):
            damaged.row(parent)
