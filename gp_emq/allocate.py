"""Choose bits under a budget: ``python -m gp_emq.allocate --proxy fit --average-bits 3``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from gp_emq import allocation, measured
from gp_emq.cli._allocate import AllocateSettings, read_allocate
from gp_emq.cli._allocate_files import (
    output_files,
    tell,
    write_certificate,
    write_formats,
    write_plan,
)
from gp_emq.cli._allocate_scores import NetworkScores, Source, source_of
from gp_emq.command import KEPT_STATISTICS, REGRESSES, make_callable, resumption, run_command
from gp_emq.errors import AllocationError
from gp_emq.outputs import check_output_file

if TYPE_CHECKING:
    from gp_emq.allocation import (
        Baseline,
        Budget,
        CostSettings,
        LatencyTable,
        Meter,
        Plan,
        Problem,
        ScoredNetwork,
        Space,
        Sweep,
        Target,
    )
    from gp_emq.measured import PlanNetwork, Winner
    from gp_emq.networks import Layer
    from gp_emq.proxies import SensitivityTable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, or 3 where the plan was measured to lose more than it may."""
    asked = read_allocate(arguments)
    for path in output_files(asked):
        check_output_file(path)
    with resumption(lambda: "" if asked.no_cache or asked.table is not None else KEPT_STATISTICS):
        return _allocate(asked)


def _allocate(asked: AllocateSettings) -> int:
    source = source_of(asked)
    latencies = _latencies(asked, source)
    old = None if asked.from_sweep is None else allocation.load_sweep(asked.from_sweep)
    settings = allocation.CostSettings(
        accounting=asked.accounting,
        granularity=source.granularity,
        activation_bits=asked.activation_bits,
        beside_bytes=0 if asked.size_bytes is None else source.beside_bytes,
    )
    space = _space(asked, source)
    in_float = _in_float(space)
    _check_formats(asked, source, [one for one in space.layers if one.name not in in_float])
    budgets = _budgets(asked, space, settings, latencies)
    held = _held(asked, source, in_float)
    network = None
    if isinstance(source, NetworkScores) and (asked.races or asked.measuring.wanted):
        network = source.plan_network(space, settings)
    scored, winner = _scored(asked, source, space, budgets, network)
    raced = "" if winner is None else winner.said
    if asked.save_table is not None:
        allocation.save_table(scored, asked.save_table)
        tell(asked.save_table)
    if not asked.has_budget and asked.sweep is None:
        return 0
    problem = allocation.Problem.of(_grouped(scored.table, source, space), space, budgets)
    known = _known(asked, raced, latencies)
    problem = replace(problem, provenance={**problem.provenance, **scored.provenance, **known})
    front = None if asked.sweep is None else allocation.sweep(problem, settings, asked.sweep)
    if asked.pick is not None:
        problem = problem.with_budgets([_picked(asked, front, old, problem, settings)])
    plan = made = None
    if problem.budgets:
        plan = allocation.solve(problem, settings)
        plan = replace(
            plan,
            targets=(*plan.targets, *held),
            baselines=_baselines(scored, problem, allocation.Meter(space, settings), source),
            kept_in_float=scored.kept_in_float,
        )
        if winner is not None:
            plan = winner.taken(plan, problem, settings)
        if network is not None and isinstance(source, NetworkScores):
            made = measured.measured_plan(
                problem, plan, network, asked.measuring, settings,
                images=source.images, seed=asked.seed,
            )  # fmt: skip
            plan = made.plan
    # Files first: they are not lost where nobody reads what is printed.
    if plan is not None:
        write_formats(asked, plan)
    if asked.out is not None:
        write_plan(asked.out, plan, front)
        if not asked.no_plot:
            _draw(asked.out, plan, front, problem, settings)
        if made is not None:
            write_certificate(made.certificate, asked.out)
    for remark in source.remarks:
        sys.stderr.write(f"note: {remark}\n")
    texts = [] if plan is None else [allocation.format_plan(plan)]
    texts += [f"{raced}\n"] if raced else []
    texts += [] if made is None else [made.text]
    texts += [] if front is None else [allocation.format_sweep(front)]
    sys.stdout.write("\n".join(texts))
    failed = made is not None and made.certificate.verdict == measured.REGRESSION
    return REGRESSES if failed else 0


def _known(asked: AllocateSettings, raced: str, latencies: "LatencyTable | None") -> dict[str, str]:
    """Say what else a plan comes from."""
    method = asked.measuring.measure_method
    return {
        **({} if latencies is None else {"latency": latencies.origin}),
        **({"raced": raced} if raced else {}),
        **({} if method is None else {allocation.METHOD: method}),
    }


def _check_formats(asked: AllocateSettings, source: Source, quantized: "Sequence[Layer]") -> None:
    """Refuse a plan that the files asked for cannot hold."""
    if asked.torchao is not None:
        allocation.check_torchao(quantized, source.granularity)
    if asked.modelopt is not None:
        allocation.check_modelopt(quantized, source.granularity)


def _budgets(
    asked: AllocateSettings,
    space: "Space",
    settings: "CostSettings",
    latencies: "LatencyTable | None",
) -> "tuple[Budget, ...]":
    """Make the budgets that the options ask for."""
    costs = tuple(map(allocation.CostTable.read, asked.cost, asked.cost_budget))
    if latencies is not None and asked.latency is not None:
        costs = (*costs, latencies.costs(asked.latency))
    return allocation.make_budgets(
        space,
        settings,
        size_mib=asked.size_mib,
        size_mb=asked.size_mb,
        size_bytes=asked.size_bytes,
        average_bits=asked.average_bits,
        bops_g=asked.bops_g,
        costs=costs,
    )


def _scored(
    asked: AllocateSettings,
    source: Source,
    space: "Space",
    budgets: "Sequence[Budget]",
    network: "PlanNetwork | None",
) -> "tuple[ScoredNetwork, Winner | None]":
    """Give the scores to plan by, and what came of the race that chose the proxy."""
    compared = asked.has_budget or asked.save_table is not None
    if network is None or not asked.races or not isinstance(source, NetworkScores):
        return source.scored(compared=compared), None
    tables = {name: partial(_table_of, source, space, name) for name in source.contenders}
    winner = measured.winner_of(tables, space, budgets, network)
    return source.scored_by(winner.proxy, compared=compared), winner


def _draw(
    out: Path,
    plan: "Plan | None",
    front: "Sweep | None",
    problem: "Problem",
    settings: "CostSettings",
) -> None:
    """Draw plan and sweep beside their files, and say where."""
    from analysis.allocation import make_allocation_figures  # noqa: PLC0415 - slow to import

    name = problem.provenance.get("network", "a network")
    beside = out.with_suffix("")
    tell(*make_allocation_figures(plan, front, problem, settings, beside, network=name))


def _picked(
    asked: AllocateSettings,
    front: "Sweep | None",
    old: "Sweep | None",
    problem: "Problem",
    settings: "CostSettings",
) -> "Budget":
    """Give the budget of the point that was asked for."""
    chosen, where = (front, "the sweep") if old is None else (old, str(asked.from_sweep))
    assert chosen is not None and asked.pick is not None  # noqa: S101, PT018 - options are checked
    return allocation.picked_budget(chosen, asked.pick, problem, settings, where=where)


def _in_float(space: "Space") -> set[str]:
    """Name the layers that stay in float."""
    return {
        layer.name
        for layer in space.layers
        if space.widths[layer.entry] == (allocation.FLOAT_BITS,)
    }


def _held(asked: AllocateSettings, source: Source, in_float: set[str]) -> "list[Target]":
    """Hold the peak of activations against its limit, if there is one."""
    if asked.activation_kib is None:
        return []
    return [
        allocation.activation_target(
            asked.activation_kib, source.activations, asked.activation_bits, in_float
        )
    ]


def _latencies(asked: AllocateSettings, source: Source) -> "LatencyTable | None":
    """Read the latencies of layers, if there are any."""
    if asked.latency_table is None:
        return None
    table = allocation.load_latencies(asked.latency_table)
    if table.activation_bits != asked.activation_bits:
        raise AllocationError(
            f"{asked.latency_table} is of inputs at {table.activation_bits} bits, and "
            f"--activation-bits is {asked.activation_bits}"
        )
    if source.granularity.group is not None:
        raise AllocationError(
            f"{asked.latency_table} is of weights without groups, and --scale-group is "
            f"{source.granularity.group}: gp_emq profile times none"
        )
    return table


def _space(asked: AllocateSettings, source: Source) -> "Space":
    return allocation.search_space(
        allocation.grouped_layers(source.layers, asked.groups),
        source.bits,
        fix=asked.fix,
        exclude=asked.exclude,
        choices={"*": source.chosen, **asked.choices},
    )


def _grouped(table: "SensitivityTable", source: Source, space: "Space") -> ArrayLike:
    """Give the table rows for the decisions of a space."""
    return allocation.grouped_table(table, source.layers, space.layers, space.bits)


def _table_of(source: NetworkScores, space: "Space", name: str) -> ArrayLike:
    """Give one proxy's table rows for the decisions of a space."""
    return _grouped(source.table(name), source, space)


def _baselines(
    scored: "ScoredNetwork", problem: "Problem", meter: "Meter", source: Source
) -> "tuple[Baseline, ...]":
    found = []
    for name, table in scored.baselines.items():
        if table is not None:
            own = _grouped(table, source, problem.space)
            found.append(allocation.proxy_baseline(name, own, problem, meter))
        elif name == "uniform":
            found.append(allocation.uniform_baseline(problem, meter))
        else:
            found.append(allocation.random_baseline(problem, meter, scored.seed))
    return tuple(found)


make_callable(__name__, "gp_emq.allocation")

if __name__ == "__main__":
    run_command(main)
