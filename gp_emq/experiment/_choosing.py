"""Which formula a run recommends: of its front, or of its front with constants fitted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tqdm import tqdm

from gp_emq.evolution import Individual, Search
from gp_emq.experiment._fitting import Evaluate, Fitting, Verdict, verdict, worth_fitting
from gp_emq.experiment._front import front_of, recommended
from gp_emq.experiment._interruption import Interruption
from gp_emq.experiment._setting import Setting
from gp_emq.experiment._validation import Judged, ValidationNetworks, shortest_of_the_best
from gp_emq.store import FittedFormula


@dataclass(frozen=True)
class Choice:
    """What a run recommends, and why.

    Args:
        best: The formula.
        judged: How it ranks on validation networks, if there are any.
        rivals: Mean of what the search maximises on the validation networks, by hand-made proxies.
        verdicts: What fitting constants came to; None where that was not asked for.
    """

    best: Individual
    judged: Judged | None = None
    rivals: Mapping[str, float] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] | None = None


class _StoppedError(Exception):
    pass


def choose(
    search: Search,
    setting: Setting,
    validation: ValidationNetworks | None,
    evaluate: Evaluate,
    interruption: Interruption,
    *,
    quiet: bool,
) -> Choice:
    """Choose what a search recommends.

    Without validation networks that is `recommended` of its front, and with them
    `shortest_of_the_best`; where constants are to be fitted, a formula with constants that pays on
    the validation networks, and of several the best there.

    Args:
        search: The search.
        setting: What it is about.
        validation: The validation networks.
        evaluate: What the search evaluates by.
        interruption: Where it is requested, constants are not fitted.
        quiet: Whether to show no progress.
    """
    front = front_of(search)
    if validation is None or interruption.requested:
        return Choice(recommended(front))
    judged = validation.judge(front, setting.primitive_set)
    chosen, rivals = shortest_of_the_best(judged), validation.rivals()
    if not setting.configuration.fit_constants:
        return Choice(chosen.individual, chosen, rivals)
    with tqdm(desc="fitting constants", unit="step", leave=False, disable=quiet) as bar:

        def step() -> None:
            bar.update()
            if interruption.requested:
                raise _StoppedError

        try:
            fitting = Fitting(setting.primitive_set, setting.objective, evaluate, step)
            fits = [fit for one in worth_fitting(judged) if (fit := fitting.fit(one)) is not None]
        except _StoppedError:
            return Choice(chosen.individual, chosen, rivals)
    found = validation.judge([fit.individual for fit in fits], setting.primitive_set)
    verdicts = tuple(
        verdict(fit, one, chosen, validation.network_names)
        for fit, one in zip(fits, found, strict=True)
    )
    paying = [one for one in verdicts if one.pays]
    if paying:
        chosen = max(paying, key=lambda one: (one.judged.mean, -len(one.fit.individual))).judged
    return Choice(chosen.individual, chosen, rivals, verdicts)


def _document(one: Verdict) -> dict[str, Any]:
    individual = one.fit.individual
    return {
        "of": individual.identifier,
        "expression": individual.expression,
        "size": len(individual),
        "before": one.fit.before,
        "training": individual.tau,
        "evaluations": one.fit.evaluations,
        "on_validation_networks": None if one.judged.taus is None else one.judged.mean,
        "gain": None if one.judged.taus is None else one.gain,
        "standard_error": None if one.judged.taus is None else one.standard_error,
        "pays": one.pays,
    }


def constants_of(choice: Choice) -> dict[str, Any]:
    """Say what fitting constants came to, as a run's summary keeps it, where that was asked."""
    if choice.verdicts is None:
        return {}
    found: dict[str, Any] = {"constants": list(map(_document, choice.verdicts))}
    if any(one.fit.individual is choice.best for one in choice.verdicts):
        found["fitted"] = asdict(FittedFormula.of(choice.best.row))
    return found
