"""Choose bits under a budget: ``python -m gp_emq.allocate --proxy fit --average-bits 3``."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from gp_emq import allocation, measured, networks, proxies, quantization, statistics
from gp_emq.cli._allocate import AllocateSettings, read_allocate
from gp_emq.command import KEPT_STATISTICS, REGRESSES, make_callable, resumption, run_command
from gp_emq.files import atomic_write_text
from gp_emq.outputs import check_output_file

if TYPE_CHECKING:
    from gp_emq.allocation import Baseline, CostSettings, Meter, Plan, Problem, Space, Sweep
    from gp_emq.measured import Certificate
    from gp_emq.networks import Network
    from gp_emq.proxies import SensitivityTable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status 0; 3 where the plan was measured to lose more than it may.

    Raises:
        GpEmqError: What was asked for is unknown, missing or cannot be met.
    """
    asked = read_allocate(arguments)
    for path in _files(asked):
        check_output_file(path)
    with resumption(lambda: "" if asked.no_cache else KEPT_STATISTICS):
        return _allocate(asked)


def _files(asked: AllocateSettings) -> list[Path]:
    """Name what will be written beside each other."""
    out = asked.out
    if out is None:
        return []
    figures = [] if asked.no_plot else ["bits.png", "bits.svg"]
    if asked.measuring.wanted:
        figures.append("certificate.json")
    if asked.sweep is not None:
        figures += ["sweep.json"] + ([] if asked.no_plot else ["pareto.png", "pareto.svg"])
    return [out, *(out.with_name(f"{out.stem}-{ending}") for ending in figures)]


def _allocate(asked: AllocateSettings) -> int:
    proxy = proxies.loading.load_proxy(asked.proxy, primitives=asked.primitives)
    for name in asked.baselines:
        if name not in ("uniform", "random"):
            proxies.loading.load_proxy(name)
    costs = tuple(map(allocation.CostTable.read, asked.cost, asked.cost_budget))
    inputs = networks.load_inputs(asked.network, asked.weights, asked.data, workload=asked.workload)
    network = inputs.network
    settings = allocation.CostSettings(
        accounting=asked.accounting,
        per_channel=not asked.per_tensor,
        activation_bits=asked.activation_bits,
    )
    space = _space(asked, network)
    budgets = allocation.make_budgets(
        space,
        settings,
        size_mib=asked.size_mib,
        size_mb=asked.size_mb,
        average_bits=asked.average_bits,
        bops_g=asked.bops_g,
        costs=costs,
    )
    cache = None if asked.no_cache else statistics.default_cache()
    collected = statistics.collect_statistics(
        inputs.calibration(asked.images, asked.seed),
        bits=space.bits,
        quantizer=quantization.WeightQuantizer(per_channel=not asked.per_tensor),
        layers=network.layers,
        cache=cache,
    )
    table = _grouped(proxy.table(collected, cache=cache), network, space)
    problem = allocation.Problem.of(table, space, budgets)
    problem = replace(problem, provenance={**problem.provenance, **_provenance(network)})
    plan = None
    if budgets:
        plan = allocation.solve(problem, settings)
        plan = replace(
            plan,
            baselines=_baselines(
                asked.baselines,
                problem,
                allocation.Meter(space, settings),
                lambda name: _grouped(
                    proxies.loading.load_proxy(name).table(collected, cache=cache), network, space
                ),
                seed=asked.seed,
            ),
            kept_in_float=allocation.kept_in_float(network.model, network.layers),
        )
    made = None
    if plan is not None and asked.measuring.wanted:
        made = measured.measured_plan(
            problem, plan, inputs, asked.measuring, settings,
            images=asked.images, seed=asked.seed, cache=cache,
        )  # fmt: skip
        plan = made.plan
    front = None if asked.sweep is None else allocation.sweep(problem, settings, asked.sweep)
    # Files first: they are not lost where nobody reads what is printed.
    if asked.out is not None:
        _write(asked.out, plan, front, problem, None if asked.no_plot else settings)
        if made is not None:
            _write_certificate(made.certificate, _certificate_file(asked.out))
    texts = [] if plan is None else [allocation.format_plan(plan)]
    texts += [] if made is None else [made.text]
    texts += [] if front is None else [allocation.format_sweep(front)]
    sys.stdout.write("\n".join(texts))
    failed = made is not None and made.certificate.verdict == measured.REGRESSION
    return REGRESSES if failed else 0


def _certificate_file(out: Path) -> Path:
    return out.with_name(f"{out.stem}-certificate.json")


def _write_certificate(certificate: "Certificate", path: Path) -> None:
    text = json.dumps(
        certificate.document(), sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False
    )
    atomic_write_text(path, text + "\n")
    sys.stderr.write(f"wrote {path}\n")


def _space(asked: AllocateSettings, network: "Network") -> "Space":
    """What may be chosen: the table gets a column for every width that some layer may choose."""
    widths = set(asked.bits).union(*asked.choices.values())
    return allocation.search_space(
        allocation.grouped_layers(network.layers, asked.groups),
        sorted(widths),
        fix=asked.fix,
        exclude=asked.exclude,
        choices={"*": asked.bits, **asked.choices},
    )


def _grouped(table: "SensitivityTable", network: "Network", space: "Space") -> ArrayLike:
    """Give the table rows for the decisions of a space."""
    return allocation.grouped_table(table, network.layers, space.layers, space.bits)


def _baselines(
    names: Sequence[str],
    problem: "Problem",
    meter: "Meter",
    table_of: Callable[[str], ArrayLike],
    *,
    seed: int,
) -> "tuple[Baseline, ...]":
    found = []
    for name in names:
        if name == "uniform":
            found.append(allocation.uniform_baseline(problem, meter))
        elif name == "random":
            found.append(allocation.random_baseline(problem, meter, seed))
        else:
            found.append(allocation.proxy_baseline(name, table_of(name), problem, meter))
    return tuple(found)


def _provenance(network: "Network") -> dict[str, str]:
    """What the table of a plan does not know of itself."""
    known = {"network": network.name}
    if network.weights is not None:
        known["weights_sha256"] = networks.file_sha256(network.weights)
    return known


def _write(
    out: Path,
    plan: "Plan | None",
    front: "Sweep | None",
    problem: "Problem",
    settings: "CostSettings | None",
) -> None:
    """Write plan, sweep and, given settings, figures beside each other, and say where."""
    written = []
    if plan is not None:
        allocation.save_plan(plan, out)
        written.append(out)
    if front is not None:
        path = out.with_name(f"{out.stem}-sweep.json")
        allocation.save_sweep(front, path)
        written.append(path)
    if settings is not None:
        from analysis.allocation import make_allocation_figures  # noqa: PLC0415 - slow to import

        name = problem.provenance["network"]
        written += make_allocation_figures(
            plan, front, problem, settings, out.with_suffix(""), network=name
        )
    for path in written:
        sys.stderr.write(f"wrote {path}\n")


make_callable(__name__, "gp_emq.allocation")

if __name__ == "__main__":
    run_command(main)
