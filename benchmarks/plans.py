"""Compare plans by what they are for, accuracy at equal size: ``python -m benchmarks.plans``.

Every plan is really quantized and evaluated on all test images. Rows are kept as they are
measured, and a killed call goes on from them.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn
from tqdm import tqdm

from benchmarks.plan_rows import Rows
from benchmarks.plan_studies import (
    EVOLVED,
    PROXIES,
    RACED,
    STUDIES,
    UNIFORM,
    Planned,
    Study,
    make_plans,
    present,
    raced_plans,
)
from gp_emq.command import run_command
from gp_emq.measured._race import Difference, mean_of
from gp_emq.networks import Division, Network, file_sha256, load_inputs
from gp_emq.options import OptionParser, not_negative, positive
from gp_emq.outputs import OutputFile
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import Measured, QuantizationSettings, run_recipe
from gp_emq.ptq._accuracy import Right, accuracy, difference
from gp_emq.quantization.recipes import find_recipe, list_recipes, usual_method
from gp_emq.statistics import default_cache, sha256_of

USUAL, LEARNED = "usual", "learned"


@dataclass(frozen=True)
class Cell:
    """One network, method and size.

    Attributes:
        network: Its name.
        found: Accuracy by each way to plan that has a plan.
    """

    network: str
    found: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    for name in options.race or ():
        load_proxy(name)
    rows = Rows(options.rows)
    cells: list[Cell] = []
    for study in present([study for study in STUDIES if study.network in options.only]):
        for line in _study(study, rows, options, cells):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    alone = EVOLVED if options.evolved else options.proxies[0]
    rival = alone if options.race is None else RACED
    lines = [*_summary(cells), *_differences(cells, rival)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _study(study: Study, rows: Rows, options: argparse.Namespace, cells: list[Cell]) -> list[str]:
    """Measure what is not measured yet, and write a table for each method.

    Args:
        study: The study.
        rows: What is measured.
        options: Of the command.
        cells: Gets a cell for each method and size.
    """
    inputs = load_inputs(study.network)
    seen = 0 if options.race is None else study.seen
    divided = inputs.divided(study.calibration, options.tests, options.seed, seen=seen)
    network, groups = inputs.network, divided.groups
    floating = _measure("float", {}, network, divided, rows=rows, options=options)
    lines = []
    for name in _methods(study, network.model, options.methods):
        settings, cache = _settings(name, options), default_cache()
        plans = make_plans(
            study, name, settings, options.evolved,
            seed=options.seed, cache=cache, proxies=options.proxies,
        )  # fmt: skip
        if options.race is not None:
            plans += raced_plans(
                study, name, settings, proxies=options.race, seed=options.seed, cache=cache
            )
        with tqdm(
            plans, desc=f"{study.network} {name}", unit="plan", file=sys.stderr, leave=False,
            disable=not sys.stderr.isatty(),
        ) as bar:  # fmt: skip
            start = time.process_time()
            found = [
                _measure(name, plan.widths, network, divided, rows=rows, options=options)
                if plan.widths
                else None
                for plan in bar
            ]
        seconds = time.process_time() - start
        sys.stderr.write(f"{study.network} {name}: {seconds:.0f} processor seconds\n")
        title = (
            f"{study.network}, {name}: top-1 of {len(divided.test):,} images, 95 % intervals; "
            f"float {_cell(accuracy(floating, groups))}"
        )
        lines += [title, "", *_table(plans, found, groups), ""]
        cells += [
            Cell(
                study.network,
                {
                    plan.name: float(right.mean())
                    for plan, right in zip(plans, found, strict=True)
                    if plan.limit == limit and right is not None
                },
            )
            for limit in sorted({plan.limit for plan in plans})
        ]
    return lines


def _methods(study: Study, model: nn.Module, asked: Sequence[str] | None) -> list[str]:
    """Name what quantizes a study's network."""
    named = asked or study.methods
    return list(dict.fromkeys(
        usual_method(model, learns=one == LEARNED) if one in (USUAL, LEARNED) else one
        for one in named
    ))  # fmt: skip


def _complete(cells: Sequence[Cell]) -> list[Cell]:
    """Return those cells that every way has a plan in."""
    return [cell for cell in cells if len(cell.found) == max(len(each.found) for each in cells)]


def _summary(cells: Sequence[Cell]) -> list[str]:
    """Say of each way to plan how good it is over all networks, methods and sizes.

    Args:
        cells: Accuracies.
    """
    complete = _complete(cells)
    names = list(complete[0].found)
    accuracies = np.array([[cell.found[name] for name in names] for cell in complete])
    behind = accuracies.max(axis=1, keepdims=True) - accuracies
    lines = [
        f"{len(complete)} cells: networks, methods and sizes",
        "",
        "| plan by | mean top-1 | best in | most behind the best |",
        "|---|---:|---:|---:|",
    ]
    for index in np.argsort(-accuracies.mean(axis=0), kind="stable"):
        mean, worst = 100 * accuracies[:, index].mean(), 100 * behind[:, index].max()
        best = int((behind[:, index] == 0).sum())
        lines.append(f"| {names[index]} | {mean:.2f} % | {best} | {worst:.2f} % |")
    return lines


def _differences(cells: Sequence[Cell], way: str) -> list[str]:
    """Say by how much one way to plan is better than each other, by networks.

    Args:
        cells: Accuracies.
        way: The one.

    Returns:
        Lines of Markdown: the mean over networks of the mean difference over a network's cells,
        with its 95 % interval by Student's t over networks; none for a single network.
    """
    complete = _complete(cells)
    networks = list(dict.fromkeys(cell.network for cell in complete))
    if len(networks) < 2:
        return []
    lines = ["", f"| {way} is better than | by, mean of {len(networks)} networks | 95 % |"]
    lines.append("|---|---:|---:|")
    for name in complete[0].found:
        gains = np.array([
            np.mean([
                cell.found[way] - cell.found[name] for cell in complete if cell.network == network
            ])
            for network in networks
        ])  # fmt: skip
        if name != way:
            found = mean_of(100 * gains)
            lines.append(f"| {name} | {found.value:+.2f} % | {_ends(found)} |")
    return lines


def _ends(found: Difference) -> str:
    return f"[{found.low:+.2f}, {found.high:+.2f}]"


def _measure(
    method: str,
    widths: dict[str, int],
    network: Network,
    divided: Division,
    *,
    rows: Rows,
    options: argparse.Namespace,
) -> Right:
    """Quantize and evaluate one plan, unless that was done before."""
    settings = _settings(method, options)
    weights, test = network.weights, divided.test
    labels = [] if test.targets is None else [("labels", test.targets)]
    key: dict[str, Any] = {
        "network": network.name,
        "weights": None if weights is None else file_sha256(weights),
        "method": method,
        "widths": widths,
        "settings": settings.document(),
        "calibration": sha256_of([("images", divided.calibration.samples)]),
        "tests": sha256_of([("images", test.samples), *labels]),
    }
    known = rows.get(key)
    if known is not None:
        return known
    if method != "float":
        quantized = run_recipe(
            find_recipe(method), divided.calibration, widths, None, settings,
            cache=default_cache(),
        )  # fmt: skip
        test = test.of(quantized)
    right: Right = test.measured(test.batch).numpy()
    rows.put(key, right)
    return right


def _settings(method: str, options: argparse.Namespace) -> QuantizationSettings:
    learns = method != "float" and find_recipe(method).learns
    return QuantizationSettings(
        iterations=options.iterations if learns else None, seed=options.seed
    )


def _table(plans: Sequence[Planned], found: Sequence[Right | None], groups: int) -> list[str]:
    """Ways to plan against sizes: accuracies, and what the evolved proxy gains."""
    limits = sorted({plan.limit for plan in plans})
    names = list(dict.fromkeys(plan.name for plan in plans))
    cells = {(plan.name, plan.limit): plan for plan in plans}
    right = {
        (plan.name, plan.limit): measured
        for plan, measured in zip(plans, found, strict=True)
        if measured is not None
    }
    lines = [
        "| plan by | " + " | ".join(f"{limit:.4g} MiB" for limit in limits) + " |",
        "|---|" + "---|" * len(limits),
    ]
    for name in names:
        row = []
        for limit in limits:
            plan = cells[name, limit]
            if (name, limit) not in right:
                row.append(f"none: {plan.note}")
                continue
            text = _cell(accuracy(right[name, limit], groups))
            if _best(right, names, limit) == right[name, limit].mean():
                text = f"**{text}**"
            row.append(f"{text}, {plan.note}, {plan.size:.4g} MiB" if name == UNIFORM else text)
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    if EVOLVED in names:
        others = [name for name in names if name != EVOLVED]
        gains = [_gain(right, others, limit, groups) for limit in limits]
        lines.append(f"| {EVOLVED}, gain | " + " | ".join(gains) + " |")
    return lines


def _best(right: dict[tuple[str, float], Right], names: Sequence[str], limit: float) -> float:
    return max(float(right[name, limit].mean()) for name in names if (name, limit) in right)


def _gain(
    right: dict[tuple[str, float], Right], others: Sequence[str], limit: float, groups: int
) -> str:
    """What the evolved proxy gains on the best other, which is the best in hindsight."""
    if (EVOLVED, limit) not in right:
        return ""
    best = _best(right, others, limit)
    other = next(name for name in others if right[name, limit].mean() == best)
    gain = difference(right[other, limit], right[EVOLVED, limit], groups)
    return f"{_cell(gain, sign='+')} on {other}"


def _cell(measured: Measured, sign: str = "") -> str:
    text = f"{100 * measured.value:{sign}.2f} %"
    if measured.low is None or measured.high is None:
        return text
    return f"{text} [{100 * measured.low:{sign}.2f}, {100 * measured.high:{sign}.2f}]"


def _parser() -> argparse.ArgumentParser:
    networks = [study.network for study in STUDIES]
    parser = OptionParser(
        prog="python -m benchmarks.plans",
        description="Accuracy at equal size of plans by "
        f"{', '.join((UNIFORM, *PROXIES))}, and an evolved proxy: Markdown tables.",
    )
    parser.add_argument(
        "--rows", type=OutputFile(), required=True, metavar="FILE.jsonl",
        help="where measured plans are kept; what it has is not measured again",
    )  # fmt: skip
    parser.add_argument(
        "--evolved", metavar="RUN|EXPRESSION", help="a proxy to compare: a run or an expression"
    )
    parser.add_argument(
        "--only", nargs="+", choices=networks, default=networks[:2], metavar="NETWORK",
        help=f"of {', '.join(networks)} (default: {' '.join(networks[:2])})",
    )  # fmt: skip
    parser.add_argument(
        "--proxies", nargs="+", default=PROXIES, metavar="PROXY",
        help=f"hand-crafted proxies to compare (default: {' '.join(PROXIES)})",
    )  # fmt: skip
    parser.add_argument(
        "--race", nargs="*", metavar="PROXY",
        help="their plans race on images that nothing else uses, and what wins is compared, too; "
        "none: those that race in gp_emq.allocate",
    )  # fmt: skip
    parser.add_argument(
        "--methods", nargs="+", metavar="METHOD",
        choices=(USUAL, LEARNED, *(recipe.name for recipe in list_recipes())),
        help=f"what quantizes; {USUAL} is what gp_emq.quantize takes by itself, {LEARNED} corrects "
        "the same after learned rounding (default: what each network was studied with)",
    )  # fmt: skip
    parser.add_argument("--tests", type=positive, metavar="N", help="test images (default: all)")
    parser.add_argument(
        "--iterations", type=positive, metavar="N", help="of learned rounding (default: 1,000)"
    )
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of all draws")
    return parser


if __name__ == "__main__":
    run_command(main)
