"""Choose bits under a budget: ``python -m gp_emq.allocate --proxy fit --average-bits 3``."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gp_emq.allocation import (
    BASELINES,
    Baseline,
    CostSettings,
    CostTable,
    Meter,
    Plan,
    Problem,
    Space,
    Sweep,
    format_plan,
    format_sweep,
    kept_in_float,
    make_budgets,
    proxy_baseline,
    random_baseline,
    save_plan,
    save_sweep,
    search_space,
    solve,
    sweep,
    uniform_baseline,
)
from gp_emq.allocation._parser import make_parser, widths_of
from gp_emq.command import KEPT_STATISTICS, REGRESSES, make_callable, resumption, run_command
from gp_emq.errors import AllocationError
from gp_emq.files import atomic_write_text
from gp_emq.measured import (
    REGRESSION,
    Certificate,
    add_measure_options,
    measure_options,
    measured_plan,
    wants_measuring,
)
from gp_emq.networks import Network, file_sha256, load_inputs
from gp_emq.outputs import check_output_file
from gp_emq.proxies.loading import load_proxy
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, collect_statistics, default_cache

_Value = TypeVar("_Value")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status 0; 3 where the plan was measured to lose more than it may.

    Raises:
        GpEmqError: What was asked for is unknown, missing or cannot be met.
    """
    parser = make_parser()
    add_measure_options(parser)
    options = parser.parse_args(arguments)
    for path in _files(options):
        check_output_file(path)
    with resumption(lambda: "" if options.no_cache else KEPT_STATISTICS):
        return _allocate(options)


def _files(options: argparse.Namespace) -> list[Path]:
    """Name what will be written beside each other."""
    out: Path | None = options.out
    if out is None:
        return []
    figures = [] if options.no_plot else ["bits.png", "bits.svg"]
    if wants_measuring(options):
        figures.append("certificate.json")
    if options.sweep is not None:
        figures += ["sweep.json"] + ([] if options.no_plot else ["pareto.png", "pareto.svg"])
    return [out, *(out.with_name(f"{out.stem}-{ending}") for ending in figures)]


def _allocate(options: argparse.Namespace) -> int:
    proxy = load_proxy(options.proxy, primitives=options.primitives)
    baselines = _baseline_names(options.baselines)
    costs = _cost_tables(options)
    budgeted = any(
        getattr(options, name) is not None
        for name in ("size_mib", "size_mb", "average_bits", "bops_g")
    )
    if not budgeted and not costs and options.sweep is None:
        raise AllocationError(
            "no budget: give --size-mib, --size-mb, --average-bits, --bops-g or --cost, or --sweep"
        )
    asked = measure_options(options, [*costs, *([True] if budgeted else [])])
    name = options.network
    if name is None and options.workload is None:
        name = "digits"
    inputs = load_inputs(name, options.weights, options.data, workload=options.workload)
    network = inputs.network
    settings = CostSettings(
        accounting=options.accounting,
        per_channel=not options.per_tensor,
        activation_bits=options.activation_bits,
    )
    space = _space(options, network)
    budgets = make_budgets(
        space,
        settings,
        size_mib=options.size_mib,
        size_mb=options.size_mb,
        average_bits=options.average_bits,
        bops_g=options.bops_g,
        costs=costs,
    )
    cache = None if options.no_cache else default_cache()
    statistics = collect_statistics(
        inputs.calibration(options.images, options.seed),
        bits=space.bits,
        quantizer=WeightQuantizer(per_channel=not options.per_tensor),
        layers=network.layers,
        cache=cache,
    )
    problem = Problem.of(proxy.table(statistics, cache=cache), space, budgets)
    problem = replace(problem, provenance={**problem.provenance, **_provenance(network)})
    plan = None
    if budgets:
        plan = solve(problem, settings)
        plan = replace(
            plan,
            baselines=_baselines(
                baselines,
                problem,
                Meter(space, settings),
                statistics,
                cache=cache,
                seed=options.seed,
            ),
            kept_in_float=kept_in_float(network.model, network.layers),
        )
    made = None
    if plan is not None and asked.wanted:
        made = measured_plan(
            problem, plan, inputs, asked, settings,
            images=options.images, seed=options.seed, cache=cache,
        )  # fmt: skip
        plan = made.plan
    front = None if options.sweep is None else sweep(problem, settings, options.sweep)
    # Files first: they are not lost where nobody reads what is printed.
    if options.out is not None:
        _write(options, plan, front, problem, settings)
        if made is not None:
            _write_certificate(made.certificate, _certificate_file(options.out))
    texts = [] if plan is None else [format_plan(plan)]
    texts += [] if made is None else [made.text]
    texts += [] if front is None else [format_sweep(front)]
    sys.stdout.write("\n".join(texts))
    failed = made is not None and made.certificate.verdict == REGRESSION
    return REGRESSES if failed else 0


def _certificate_file(out: Path) -> Path:
    return out.with_name(f"{out.stem}-certificate.json")


def _write_certificate(certificate: Certificate, path: Path) -> None:
    text = json.dumps(
        certificate.document(), sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False
    )
    atomic_write_text(path, text + "\n")
    sys.stderr.write(f"wrote {path}\n")


def _space(options: argparse.Namespace, network: Network) -> Space:
    """What may be chosen: the table gets a column for every width that some layer may choose."""
    by_pattern = _pairs(options.choices, widths_of, "--choices", "fc=4,8")
    widths = set(options.bits).union(*by_pattern.values())
    return search_space(
        network.layers,
        sorted(widths),
        fix=_pairs(options.fix, int, "--fix", "conv1=8"),
        exclude=options.exclude,
        choices={"*": options.bits, **by_pattern},
    )


def _pairs(
    texts: Sequence[str], read: Callable[[str], _Value], option: str, example: str
) -> dict[str, _Value]:
    """Read PATTERN=VALUE; of a pattern that comes twice, the last counts."""
    pairs: dict[str, _Value] = {}
    for text in texts:
        pattern, _, value = text.rpartition("=")
        pairs.pop(pattern, None)
        try:
            pairs[pattern] = read(value)
        except (ValueError, argparse.ArgumentTypeError):
            raise AllocationError(f"{option} {text!r} must be like {example}") from None
        if not pattern:
            raise AllocationError(f"{option} {text!r} must be like {example}")
    return pairs


def _cost_tables(options: argparse.Namespace) -> tuple[CostTable, ...]:
    files, limits = options.cost, options.cost_budget
    if len(files) != len(limits):
        raise AllocationError(
            f"every --cost needs its --cost-budget: there are {len(files)} and {len(limits)}"
        )
    return tuple(CostTable.read(path, limit) for path, limit in zip(files, limits, strict=True))


def _baseline_names(text: str) -> tuple[str, ...]:
    if text in ("all", "none"):
        return BASELINES if text == "all" else ()
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in ("uniform", "random"):
            load_proxy(name)
    return names


def _baselines(
    names: Sequence[str],
    problem: Problem,
    meter: Meter,
    statistics: Statistics,
    *,
    cache: Path | None,
    seed: int,
) -> tuple[Baseline, ...]:
    found = []
    for name in names:
        if name == "uniform":
            found.append(uniform_baseline(problem, meter))
        elif name == "random":
            found.append(random_baseline(problem, meter, seed))
        else:
            table = load_proxy(name).table(statistics, cache=cache)
            found.append(proxy_baseline(name, table, problem, meter))
    return tuple(found)


def _provenance(network: Network) -> dict[str, str]:
    """What the table of a plan does not know of itself."""
    known = {"network": network.name}
    if network.weights is not None:
        known["weights_sha256"] = file_sha256(network.weights)
    return known


def _write(
    options: argparse.Namespace,
    plan: Plan | None,
    front: Sweep | None,
    problem: Problem,
    settings: CostSettings,
) -> None:
    """Write plan, sweep and figures beside each other, and say where."""
    out: Path = options.out
    written = []
    if plan is not None:
        save_plan(plan, out)
        written.append(out)
    if front is not None:
        path = out.with_name(f"{out.stem}-sweep.json")
        save_sweep(front, path)
        written.append(path)
    if not options.no_plot:
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
