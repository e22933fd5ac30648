"""From a table's plan to one that was measured, with its certificate."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gp_emq._progress import progress_bar, show
from gp_emq.allocation import Configuration, CostSettings, Plan, Problem, Space, replanned
from gp_emq.measured._calibration import Calibrated, calibrate
from gp_emq.measured._certificate import Certificate, certify
from gp_emq.measured._interactions import Interacting, interact
from gp_emq.measured._model import Measurement
from gp_emq.measured._network import MeasuringSettings, PlanNetwork
from gp_emq.measured._options import MeasureOptions
from gp_emq.measured._search import Found, SearchSettings, halves, search
from gp_emq.measured._text import (
    format_calibration,
    format_certificate,
    format_interactions,
    format_remedies,
    format_search,
)
from gp_emq.networks import Inputs
from gp_emq.ptq import QuantizationSettings
from gp_emq.quantization import WeightQuantizer


@dataclass(frozen=True)
class MeasuredPlan:
    """A plan with what was measured of it.

    Attributes:
        plan: The plan; its provenance says how it was measured.
        certificate: What it loses.
        text: All of it for a terminal.
    """

    plan: Plan
    certificate: Certificate
    text: str


def plan_network(
    space: Space,
    inputs: Inputs,
    asked: MeasureOptions,
    costs: CostSettings,
    *,
    images: int,
    seed: int,
    cache: Path | None,
) -> PlanNetwork:
    """Prepare a network to take on one plan after another.

    Args:
        space: What plans may choose.
        inputs: Network and samples.
        asked: How to measure.
        costs: How the plans' costs are counted.
        images: Calibration images, as for the table.
        seed: Of all draws.
        cache: Folder that keeps what was measured; None keeps nothing.

    Raises:
        GpEmqError: There are too few images, or what was asked does not fit.
    """
    held_back = inputs.held_back(images, asked.measure_images, seed)
    settings = MeasuringSettings(
        asked.method_for(inputs.network.model),
        asked.measure_loss,
        QuantizationSettings(
            WeightQuantizer.of(costs.granularity), costs.activation_bits, seed=seed
        ),
    )
    with progress_bar("rounding", "step") as bar:
        network = PlanNetwork(
            inputs.calibration(images, seed), held_back, space, settings,
            cache=cache, progress=lambda name, done, total: show(bar, done, total, name),
        )  # fmt: skip
    halves(network)
    return network


def measured_plan(
    problem: Problem,
    plan: Plan,
    network: PlanNetwork,
    asked: MeasureOptions,
    costs: CostSettings,
    *,
    images: int,
    seed: int,
) -> MeasuredPlan:
    """Measure a plan, and look for better ones as far as that is asked.

    Args:
        problem: What may be chosen, within which budgets, and what the table says.
        plan: The table's plan.
        network: Measures.
        asked: What to measure.
        costs: How the plan's costs are counted.
        images: Calibration images, as for the table.
        seed: Of all draws.

    Raises:
        GpEmqError: What was asked does not fit.
    """
    start, said = plan.configuration, {}
    known: tuple[Measurement, ...] = ()
    best = start
    next_best: tuple[tuple[Configuration, float], ...] = ()
    if asked.calibrate is not None:
        fitted = _calibrated(problem, start, network, asked.calibrate, seed)
        said["calibrated"] = format_calibration(fitted)
        best, known = fitted.best, fitted.measured
    if asked.interactions is not None:
        together = _interacting(problem, best, network, asked.interactions, seed)
        said["pairs"] = format_interactions(together)
        best = together.best
    if asked.searches:
        found = _searched(
            problem, best, network, asked, seed=seed, known=known if best == start else ()
        )
        said["measured"] = format_search(found)
        best, next_best = found.best, found.next_best
    texts = [f"{name}: {text}" for name, text in said.items()]
    said["seen"] = str(images + network.count)
    made = replanned(plan, problem, best, costs)
    made = replace(made, provenance={**made.provenance, **said})
    certificate = certify(
        network, problem, made, start,
        next_best=next_best, max_drop=asked.max_drop,
    )  # fmt: skip
    texts.append(format_certificate(certificate))
    if certificate.loses and not asked.searches:
        texts.append(format_remedies(network.finer_method))
    return MeasuredPlan(made, certificate, "\n".join(texts))


def _calibrated(
    problem: Problem, start: Configuration, network: PlanNetwork, plans: int, seed: int
) -> Calibrated:
    with progress_bar("calibrating", "plan") as bar:
        return calibrate(
            problem, start, network, plans=plans, seed=seed, progress=partial(show, bar)
        )


def _interacting(
    problem: Problem, start: Configuration, network: PlanNetwork, reach: str, seed: int
) -> Interacting:
    with progress_bar("measuring pairs", "plan") as bar:
        return interact(
            problem, start, network, reach=reach, seed=seed, progress=partial(show, bar)
        )


def _searched(
    problem: Problem,
    start: Configuration,
    network: PlanNetwork,
    asked: MeasureOptions,
    *,
    seed: int,
    known: tuple[Measurement, ...],
) -> Found:
    seconds = None if asked.minutes is None else 60 * asked.minutes
    settings = SearchSettings(asked.measure, seconds, seed)
    with progress_bar("measuring", "plan") as bar:

        def report(done: float, gain: float) -> None:
            show(bar, round(done), asked.measure, f"loss {-100 * gain:+.1f} %")

        return search(problem, start, network, settings, known=known, progress=report)
