"""From a sensitivity table and budgets to a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from numpy.typing import ArrayLike

from gp_emq.allocation._budgets import CostTable, make_budgets
from gp_emq.allocation._costs import CostSettings
from gp_emq.allocation._groups import grouped_layers, grouped_table
from gp_emq.allocation._labels import labelled, layers_and_bits
from gp_emq.allocation._measures import Meter
from gp_emq.allocation._plan import Plan, PlannedLayer, Target
from gp_emq.allocation._problem import Choice, Problem, infeasible
from gp_emq.allocation._space import Configuration, Space, search_space
from gp_emq.errors import AllocationError
from gp_emq.networks import Layer


def allocate(
    table: ArrayLike,
    layers: Sequence[Layer] | None = None,
    *,
    bits: Sequence[int] | None = None,
    size_mib: float | None = None,
    size_mb: float | None = None,
    size_bytes: float | None = None,
    average_bits: float | None = None,
    bops_g: float | None = None,
    costs: Sequence[CostTable] = (),
    fix: Mapping[str, int] | None = None,
    exclude: Sequence[str] = (),
    choices: Mapping[str, Sequence[int]] | None = None,
    groups: Sequence[Sequence[str]] = (),
    settings: CostSettings | None = None,
) -> Plan:
    """Choose the width of every layer so that the score is highest within all budgets.

    The score is additive, so an integer program finds the true optimum. Layers that are tied,
    share one weight, or are in a group, take one width. A pattern is a layer's name in which
    `*`, `?` and `[...]` stand for others; the name of a layer means that layer alone and counts
    before patterns, and of several patterns that match the last one counts.

    Args:
        table: Scores, (entries, bits), where a higher sum is better: what
            `gp_emq.load_proxy(...).table(statistics)` gives, which knows its layers and widths,
            or an array of one's own. Differences within a row that are rounding beside its
            magnitude (16 units in the last place) count as none.
        layers: In forward order, e.g. `statistics.layers`; needed with a plain array.
        bits: The widths of the table's columns, rising; needed with a plain array.
        size_mib: Most MiB (2²⁰ bytes) that the weights may take.
        size_mb: The same in MB (10⁶ bytes).
        size_bytes: Most bytes that the numbers of a packed file may take: packed weights, scales,
            biases, batch norms and, given `settings.beside_bytes`, what belongs to no layer.
        average_bits: Most bits per parameter, on average over the quantized layers.
        bops_g: Most bit operations of one image, in 10⁹.
        costs: Costs of one's own per layer and width, each with its limit.
        fix: A width by pattern; it need not be among the bits.
        exclude: Patterns of layers that stay in float, which counts in sizes and operations.
        choices: By pattern, the bits that may be chosen.
        groups: Names and patterns of layers that shall take one width, as `[["q", "k", "v"]]`.
        settings: How sizes and bit operations are counted.

    Returns:
        The plan.

    Raises:
        AllocationError: There is no budget, or none can be met, in which case the message says
            which, and the nearest value that can; the table does not fit, is not finite, or
            cannot rank: all its rows are constant, or all fall as bits rise.

    Examples:
        Two layers of 100 and 300 weights, of which the smaller is the more sensitive:

        >>> import gp_emq
        >>> from torch import nn, zeros
        >>> network = nn.Sequential(nn.Linear(10, 10, bias=False), nn.Linear(10, 30, bias=False))
        >>> layers = gp_emq.networks.find_layers(network, zeros(1, 10))
        >>> scores = [[-8, -2, -1], [-4, -1.5, -1]]
        >>> gp_emq.allocate(scores, layers, bits=(2, 3, 4), average_bits=3).widths
        {'0': 3, '1': 3}
        >>> gp_emq.allocate(scores, layers, bits=(2, 3, 4), average_bits=2.5).widths
        {'0': 4, '1': 2}
    """
    settings = settings or CostSettings()
    known, widths = layers_and_bits(table, layers, bits)
    grouped = grouped_layers(known, groups)
    values = grouped_table(table, known, grouped, widths)
    space = search_space(grouped, widths, fix=fix, exclude=exclude, choices=choices)
    budgets = make_budgets(
        space,
        settings,
        size_mib=size_mib,
        size_mb=size_mb,
        size_bytes=size_bytes,
        average_bits=average_bits,
        bops_g=bops_g,
        costs=tuple(costs),
    )
    if not budgets:
        raise AllocationError(
            "no budget: give at least one of size, average bits, bit operations or costs"
        )
    plan = solve(Problem.of(values, space, budgets), settings)
    own = labelled(table)
    return plan if own is None else replace(plan, kept_in_float=own.kept_in_float)


def solve(problem: Problem, settings: CostSettings) -> Plan:
    """Solve a problem.

    Args:
        problem: The problem.
        settings: How the measures of the plan are counted.

    Raises:
        AllocationError: Its budgets cannot be met.
    """
    choice = problem.best()
    if choice is None:
        raise infeasible(problem)
    return plan_of(problem, choice, settings)


def plan_of(problem: Problem, choice: Choice, settings: CostSettings) -> Plan:
    """Write a configuration out as a plan."""
    space, configuration = problem.space, choice.configuration
    return Plan(
        layers=_planned(space, problem, choice),
        bits=space.bits,
        score=problem.score(configuration),
        gap=choice.gap,
        targets=tuple(
            Target(budget.name, budget.unit, budget.limit, budget.total(configuration))
            for budget in problem.budgets
        ),
        measures=Meter(space, settings).measure(configuration),
        activation_bits=settings.activation_bits,
        scale_group=settings.granularity.group,
        not_rising=problem.not_rising(),
        constant=problem.constant(),
        provenance=dict(problem.provenance),
    )


def replanned(
    plan: Plan, problem: Problem, configuration: Configuration, settings: CostSettings
) -> Plan:
    """Write another configuration of the same problem out, which was found to be better.

    Args:
        plan: The problem's optimum, whose baselines and notes stay, and targets that are no
            budgets of the problem.
        problem: The problem.
        configuration: One width per entry, within the budgets.
        settings: How the measures are counted.

    Returns:
        The plan itself where the configuration is its own; else one whose gap says how much
        less its score is than the optimum's may be.

    Raises:
        AllocationError: The configuration is over a budget.
    """
    if configuration == plan.configuration:
        return plan
    if not problem.fits(configuration):
        raise AllocationError("the configuration is over a budget")
    lost = problem.score(plan.configuration) - problem.score(configuration)
    made = plan_of(problem, Choice(configuration, plan.gap + lost), settings)
    return replace(
        made,
        targets=(*made.targets, *plan.targets[len(made.targets) :]),
        baselines=plan.baselines,
        kept_in_float=plan.kept_in_float,
        provenance=dict(plan.provenance),
    )


def _planned(space: Space, problem: Problem, choice: Choice) -> tuple[PlannedLayer, ...]:
    planned = []
    seen: set[int] = set()
    for layer in space.layers:
        width = choice.configuration[layer.entry]
        known = width in space.bits and layer.entry not in seen
        seen.add(layer.entry)
        score = problem.scores[layer.entry, width] if known else None
        planned.append(PlannedLayer(layer, width, space.decisions[layer.entry], score))
    return tuple(planned)
