"""What a plan was measured to lose, beside the float network and the best uniform width."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gp_emq.allocation import Configuration, Plan, Problem, uniform_configuration
from gp_emq.files import write_document
from gp_emq.measured._network import PlanNetwork
from gp_emq.measured._race import Difference, mean_of
from gp_emq.measured._samples import Answers
from gp_emq.measured._search import halves
from gp_emq.networks import TOP_1, Metric
from gp_emq.ptq import Measured, change, measured

ACCEPT, REGRESSION = "ACCEPT", "REGRESSION"
FORMAT = 1


@dataclass(frozen=True)
class Line:
    """One network on the images that confirm.

    Attributes:
        name: What it is.
        widths: Width of every entry; empty for the float network.
        loss: Its mean loss.
        metric: Its metric; None where that is no mean over samples.
        change: Of the metric from the float network's, paired.
    """

    name: str
    widths: Configuration
    loss: Difference
    metric: Measured | None
    change: Measured | None


@dataclass(frozen=True)
class Certificate:
    """What is known of a plan.

    Attributes:
        network: Name of the network.
        method: That quantized it.
        loss: What loss was measured.
        metric: Name of the metric.
        images: How many confirmed.
        labelled: Whether the metric was taken by labels; else by the float network's answers.
        gap: Upper bound of what a better plan could add to the table's score.
        lines: The float network, the best uniform width that fits, the table's plan, and the plan.
        next_best: Other plans by their first widths, with their mean loss on the images that were
            searched on.
        max_drop: Most of the metric that might be lost; None where it was not asked.
        drop: What was lost, less than 0 where it was gained; None where there is no metric.
        verdict: `"ACCEPT"` or `"REGRESSION"`.
    """

    network: str
    method: str
    loss: str
    metric: str
    images: int
    labelled: bool
    gap: float
    lines: tuple[Line, ...]
    next_best: tuple[tuple[Configuration, float], ...]
    max_drop: float | None
    drop: float | None
    verdict: str

    @property
    def loses(self) -> bool:
        """Whether the plan's metric is worse than the float network's beyond the interval."""
        change = self.lines[-1].change
        if not self.drop or change is None or change.low is None or change.high is None:
            return False
        return self.drop > 0 and change.low * change.high > 0


def save_certificate(certificate: Certificate, path: Path) -> None:
    """Write a certificate as JSON; numbers that are not finite are null.

    Args:
        certificate: What is known of a plan.
        path: The file; its folder must exist.

    Raises:
        RunError: The file cannot be written.
    """
    write_document(path, _finite(asdict(certificate)), form=FORMAT)


def certify(
    network: PlanNetwork,
    problem: Problem,
    plan: Plan,
    start: Configuration,
    *,
    next_best: tuple[tuple[Configuration, float], ...] = (),
    max_drop: float | None = None,
) -> Certificate:
    """Measure a plan beside others on the samples by which nothing was chosen.

    The verdict is `"REGRESSION"` where the plan's metric is worse than the float network's by more
    than `max_drop`, as measured.

    Args:
        network: Measures.
        problem: Whose budgets the plan keeps.
        plan: The plan.
        start: The plan of the table as it was.
        next_best: What a search found beside it.
        max_drop: Most of the metric that may be lost.
    """
    searched, count = halves(network)
    metric = network.metric
    floating = network.floating().part(searched, count)
    configurations: dict[str, Configuration] = {}
    uniform = _uniform(problem)
    if uniform is not None:
        configurations[f"uniform, {uniform[0]} bits"] = uniform[1]
    if start != plan.configuration:
        configurations["the table's plan"] = start
    configurations["plan"] = plan.configuration
    lines = [_line("float", (), floating, floating, metric)]
    for name, widths in configurations.items():
        found = network.answers(widths, count).part(searched, count)
        lines.append(_line(name, widths, found, floating, metric))
    lost = lines[-1].change
    drop = None if lost is None else (-lost.value if metric.higher_is_better else lost.value)
    failed = max_drop is not None and drop is not None and drop > max_drop
    return Certificate(
        network=plan.provenance.get("network", ""),
        method=network.settings.method,
        loss=network.settings.loss,
        metric=metric.name,
        images=count - searched,
        labelled=network.labelled,
        gap=plan.gap,
        lines=tuple(lines),
        next_best=tuple(item for item in next_best if item[0] != plan.configuration),
        max_drop=max_drop,
        drop=drop,
        verdict=REGRESSION if failed else ACCEPT,
    )


def _uniform(problem: Problem) -> tuple[int, Configuration] | None:
    for width in reversed(problem.space.bits):
        configuration = uniform_configuration(problem, width)
        if problem.fits(configuration):
            return width, configuration
    return None


def _line(
    name: str, widths: Configuration, found: Answers, floating: Answers, metric: Metric
) -> Line:
    own, before = found.values, floating.values
    if np.isnan(own).any():
        return Line(name, widths, mean_of(found.losses), None, None)
    if metric is TOP_1:
        own, before = own.astype(np.bool_), before.astype(np.bool_)
    return Line(
        name, widths, mean_of(found.losses), measured(own), change(before, own) if widths else None
    )


def relative(after: Difference, before: Difference) -> float:
    """Return a change as a share of what it was; 0 where that was nothing."""
    return after.value / before.value if before.value > 0 else 0.0


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
