"""Fitting the constants of the formulas that a search found, on the networks of the search.

What is maximised is what the search maximises, on the training configurations. It is stepwise
constant, so that no derivative helps: the simplex method of Nelder and Mead (The Computer Journal
7, 1965), from the formula as it was found. It draws nothing, and so gives the same every time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gp_emq.evolution import FloatArray, Individual, Measurement, Objective, Outcome
from gp_emq.experiment._validation import Judged
from gp_emq.proxies import (
    Site,
    constant_sites,
    depends_on_scale,
    parse_expression,
    simplified,
    to_expression,
    with_constants,
)
from gp_emq.store import BenchRow
from primitives import PrimitiveSet

FITTED = 3
"""How many formulas are fitted: the shortest within one standard error of the best."""
EVALUATIONS = 40
"""Steps of a fit for each of its constants, and once more."""
DIGITS = 2
"""Significant digits of a constant."""
WORTH = 0.1
"""A constant stays if leaving it out loses at least this share of what the fit gained."""
SURE = 2.0
"""Paired standard errors by which a fitted formula has to be better than the recommended one."""

_WEIGHTS, _EXPONENTS = (1 / 32, 32.0), (1 / 8, 8.0)
"""Between what constants lie."""
_STEPS = {False: 0.5, True: 0.25}
"""First steps of the logarithms of weights and exponents."""

Values = dict[Site, float]
Evaluate = Callable[[list[str]], Sequence[Outcome]]


@dataclass(frozen=True)
class Fit:
    """A formula with constants.

    Args:
        individual: It, as an individual: numbered as the one that it was fitted from, its parent.
        before: What the search maximises, of its parent.
        evaluations: How many formulas were evaluated for it.
    """

    individual: Individual
    before: float
    evaluations: int


@dataclass(frozen=True)
class Verdict:
    """A fitted formula on the validation networks, beside the one that is recommended without.

    Args:
        fit: The formula.
        judged: How it ranks there.
        gain: By how much it is better, the mean over networks; -inf where it has no table.
        standard_error: Of that mean, paired by networks.
    """

    fit: Fit
    judged: Judged
    gain: float
    standard_error: float

    @property
    def pays(self) -> bool:
        """Whether it is better by more than `SURE` standard errors."""
        return self.gain > SURE * self.standard_error


class Fitting:
    """Fits the constants of formulas.

    Args:
        primitive_set: What they are made of.
        objective: What is maximised.
        evaluate: Evaluates expressions on the objective's networks.
        progress: Called at each step.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        objective: Objective,
        evaluate: Evaluate,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        self._set, self._objective, self._evaluate = primitive_set, objective, evaluate
        self._progress = progress
        self._known: dict[str, tuple[Outcome, Measurement] | None] = {}

    def fit(self, individual: Individual) -> Fit | None:
        """Fit the constants of one formula.

        Returns:
            None where it has no place for a constant, or none makes it better.
        """
        self._known = {}
        start = individual.tau
        sites = [site for site in constant_sites(individual, self._set)
                 if self._read(individual, {site: 1.5}) is not None]  # fmt: skip
        if not sites:
            return None
        values = self._searched(individual, dict.fromkeys(sites, 1.0))
        reached = self._worth(individual, values)
        if reached <= start:
            return None
        least = reached - WORTH * (reached - start)
        for site in sites:  # what does next to nothing goes
            others = {own: value for own, value in values.items() if own != site}
            if site in values and self._worth(individual, others) >= least:
                values = others
        again = self._searched(individual, values)
        if self._worth(individual, again) > self._worth(individual, values):
            values = again
        return self._made(individual, values)

    def _searched(self, individual: Individual, values: Values) -> Values:
        """Search the constants of some places, from given ones."""
        from scipy import optimize  # noqa: PLC0415 - slow to import, rarely needed

        sites = list(values)
        start: FloatArray = np.log(list(values.values()))
        first = np.stack([start] * (len(sites) + 1))
        first[1:] += np.diag([_STEPS[site.is_exponent] for site in sites])

        def loss(logarithms: FloatArray) -> float:
            return -self._worth(individual, _constants(sites, logarithms, digits=6))

        found = optimize.minimize(
            loss,
            start,
            method="Nelder-Mead",
            options={
                "initial_simplex": first,
                "maxfev": EVALUATIONS * len(first),
                "xatol": 0.02,
                "fatol": 1e-5,
                "adaptive": True,
            },
        )
        return _constants(sites, found.x, digits=DIGITS)

    def _worth(self, individual: Individual, values: Mapping[Site, float]) -> float:
        """Say what a formula comes to with some constants; −1 where it has no table."""
        text = self._read(individual, values)
        found = None if text is None else self._measured(text)
        self._progress()
        return -1.0 if found is None else found[1].training

    def _measured(self, text: str) -> tuple[Outcome, Measurement] | None:
        if text not in self._known:
            (outcome,) = self._evaluate([text])
            found = None
            if outcome.tables:
                (measurement,) = self._objective.measure([outcome.tables])
                found = outcome, measurement
            self._known[text] = found
        return self._known[text]

    def _read(self, individual: Individual, values: Mapping[Site, float]) -> str | None:
        """Write a formula with constants; None where the set wants it to know no scale."""
        tree = parse_expression(with_constants(individual, self._set, values), self._set)
        if self._set.scale_invariant and depends_on_scale(tree, self._set):
            return None
        return to_expression(simplified(tree, self._set)[0], self._set)

    def _made(self, individual: Individual, values: Mapping[Site, float]) -> Fit | None:
        text = self._read(individual, values)
        found = None if text is None else self._measured(text)
        if text is None or found is None:
            return None
        outcome, measurement = found
        tree = parse_expression(text, self._set)
        row = replace(
            individual.row,
            operator="constants",
            parents=(individual.identifier,),
            expression=text,
            canonical=simplified(tree, self._set)[1],
            size=len(tree),
            depth=tree.height,
            training_tau=measurement.training,
            validation_tau=measurement.validation,
            sign=measurement.sign,
            seconds=0.0,
            benches=tuple(
                BenchRow(name, training, validation, table)
                for name, (training, validation), table in zip(
                    self._objective.networks,
                    measurement.by_network,
                    outcome.tables,
                    strict=True,
                )
            ),
        )
        fitted = Individual(list(tree), row, measurement)
        return Fit(fitted, individual.tau, len(self._known))


def worth_fitting(judged: Sequence[Judged]) -> list[Individual]:
    """Give the formulas whose constants are fitted, see `FITTED`."""
    best = max(judged, key=lambda one: one.mean)
    close = [one for one in judged if one.mean >= best.mean - best.standard_error]
    close.sort(key=lambda one: (len(one.individual), -one.mean))
    return [one.individual for one in close[:FITTED]]


def verdict(fit: Fit, judged: Judged, chosen: Judged, networks: Sequence[str]) -> Verdict:
    """Compare a fitted formula with the one that is recommended without.

    Args:
        fit: The formula.
        judged: How it ranks on the validation benches.
        chosen: How the other does.
        networks: The network of each bench; two of them differ at least.
    """
    if judged.taus is None or chosen.taus is None:
        return Verdict(fit, judged, -np.inf, np.inf)
    gains = np.subtract(judged.taus, chosen.taus)
    own = np.array(networks)
    means: FloatArray = np.array([gains[own == name].mean() for name in dict.fromkeys(networks)])
    error = float(means.std(ddof=1) / np.sqrt(len(means)))
    return Verdict(fit, judged, float(means.mean()), error)


def _constants(sites: Sequence[Site], logarithms: FloatArray, digits: int) -> Values:
    """Give the constants of logarithms, within their bounds; those that are 1 are left out."""
    found = {}
    for site, logarithm in zip(sites, logarithms, strict=True):
        low, high = _EXPONENTS if site.is_exponent else _WEIGHTS
        value = float(f"{np.clip(np.exp(np.clip(logarithm, -9, 9)), low, high):.{digits}g}")
        if value != 1:
            found[site] = value
    return found
