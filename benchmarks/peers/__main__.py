"""Plans of other libraries beside ours, by ``python -m benchmarks.peers``.

The same network, images, widths and size for all, weights alone; every plan is then quantized by
our recipe and evaluated. ``--python`` is that of an environment with the peers (``pip install
gp_emq[peers]``); they exchange files with this process.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.plan import IMAGES, PEERS, PLANS, REQUEST
from benchmarks.plan_rows import Rows
from benchmarks.plan_studies import STUDIES, Study, present
from benchmarks.plans import _cell, _measure
from gp_emq.allocation import CostTable, allocate
from gp_emq.command import run_command
from gp_emq.determinism import one_thread
from gp_emq.networks import Network, Workload, load_inputs, tensors_of
from gp_emq.options import OptionParser, not_negative, positive
from gp_emq.outputs import OutputFile
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq._accuracy import accuracy
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import collect_statistics

ROOT = Path(__file__).parents[2]
OURS = ("fit", "gp-gradient")
SHARES = (0.3, 0.5, 0.7)
BATCH = 16


@dataclass(frozen=True)
class Planned:
    """What one way to plan chooses at one size.

    Attributes:
        average: Most bits of a weight on average.
        widths: Width of each layer; empty where there is no plan.
        seconds: Of the processor, from the network to the plan.
        note: Why there is no plan.
    """

    average: float
    widths: dict[str, int]
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Task:
    """What all plan.

    Attributes:
        network: The network.
        samples: Calibration images with labels.
        bits: The widths.
        averages: Most bits of a weight on average, of each size.
    """

    network: Network
    samples: Workload
    bits: tuple[int, ...]
    averages: tuple[float, ...]

    def shares(self) -> dict[str, float]:
        """What part of all weights each layer has."""
        sizes = {layer.name: math.prod(layer.weight_shape) for layer in self.network.layers}
        whole = sum(sizes.values())
        return {name: size / whole for name, size in sizes.items()}


def our_plans(task: Task, name: str) -> list[Planned]:
    """Plan by a proxy, each time from nothing: statistics are collected anew.

    Args:
        task: What is planned.
        name: Of the proxy.
    """
    shares = task.shares()
    costs = {(layer, bits): share * bits for layer, share in shares.items() for bits in task.bits}
    plans = []
    for average in task.averages:
        start = time.process_time()
        statistics = collect_statistics(
            task.samples,
            bits=task.bits,
            quantizer=WeightQuantizer(per_channel=True),
            layers=task.network.layers,
        )
        table = load_proxy(name).table(statistics)
        plan = allocate(table, costs=[CostTable(costs, average, "bits of a weight")])
        plans.append(Planned(average, plan.widths, time.process_time() - start))
    return plans


def peer_plans(task: Task, peer: str, python: Path) -> tuple[str, list[Planned]]:
    """Have a peer plan in its own environment.

    Args:
        task: What is planned; the other process loads the network by its name.
        peer: Its name.
        python: Of that environment.

    Returns:
        The peer's version, and a plan for each size.
    """
    request = {
        "peer": peer, "network": task.network.name, "bits": task.bits, "averages": task.averages,
        "batch": BATCH,
    }  # fmt: skip
    found = _answer(request, task.samples, python)
    plans = [Planned(plan["average"], plan["widths"], plan["seconds"]) for plan in found["plans"]]
    missing = task.averages[len(plans) :]
    plans += [Planned(average, {}, note=found["error"]) for average in missing]
    return found.get("version", ""), plans


def _answer(request: Mapping[str, Any], samples: Workload, python: Path) -> dict[str, Any]:
    """Run the peer's part, and read what it leaves."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        images, labels = (tensors_of(of, "")[0][1] for of in (samples.samples, samples.targets))
        np.savez(folder / IMAGES, x=images.numpy(), y=labels.numpy())
        ended = subprocess.run(  # noqa: S603 - the interpreter that the user names
            [str(python), "-m", "benchmarks.peers.plan", str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        file = folder / PLANS
        if file.exists():
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return found
    said = ended.stderr.strip().splitlines()[-1:] or [f"exit status {ended.returncode}"]
    return {"plans": [], "error": said[0]}


def _study(study: Study, rows: Rows, options: argparse.Namespace) -> Iterator[str]:
    """Plan, measure, and write a table."""
    inputs = load_inputs(study.network)
    least, most = study.bits[0], study.bits[-1]
    divided = inputs.divided(study.calibration, options.tests, options.seed)
    task = Task(
        inputs.network,
        divided.calibration.part(slice(0, options.images)),
        study.bits,
        tuple(least + share * (most - least) for share in SHARES),
    )
    plans = {}
    with one_thread():
        for name in OURS:
            plans[name] = our_plans(task, name)
            sys.stderr.write(f"{study.network}: {name}\n")
    for peer in PEERS:
        version, own = peer_plans(task, peer, options.python)
        plans[f"{peer} {version}".strip()] = own
        sys.stderr.write(f"{study.network}: {peer}\n")
    method, groups = study.methods[0], divided.groups

    def accuracy_of(method: str, widths: dict[str, int]) -> str:
        measured = _measure(method, widths, task.network, divided, rows=rows, options=options)
        return _cell(accuracy(measured, groups))

    yield (
        f"{study.network}, {method}, {len(task.samples)} images to plan by, widths "
        f"{', '.join(map(str, study.bits))}: top-1 of {len(divided.test):,} images, 95 % "
        f"intervals; float {accuracy_of('float', {})}"
    )
    yield ""
    heads = " | ".join(f"{average:.3g} bits" for average in task.averages)
    yield f"| plan by | {heads} | processor seconds to a plan |"
    yield "|---|" + "---|" * len(task.averages) + "---:|"
    shares = task.shares()
    for name, own in plans.items():
        cells = [f"none: {plan.note}" for plan in own]
        for place, plan in enumerate(own):
            if plan.widths:
                spent = sum(shares[layer] * bits for layer, bits in plan.widths.items())
                cells[place] = f"{accuracy_of(method, plan.widths)}, {spent:.3f} bits"
        seconds = [plan.seconds for plan in own if plan.widths]
        taken = f"{np.median(seconds):.1f}" if seconds else ""
        yield f"| {name} | " + " | ".join(cells) + f" | {taken} |"
    yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    rows = Rows(options.rows)
    for study in present([study for study in STUDIES if study.network in options.only]):
        for line in _study(study, rows, options):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


def _parser() -> argparse.ArgumentParser:
    networks = [study.network for study in STUDIES]
    parser = OptionParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument(
        "--python", type=Path, required=True, metavar="FILE",
        help="of an environment with the peers",
    )  # fmt: skip
    parser.add_argument(
        "--rows", type=OutputFile(), required=True, metavar="FILE.jsonl",
        help="where measured plans are kept; what it has is not measured again",
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", choices=networks, default=networks[:2], metavar="NETWORK",
        help=f"of {', '.join(networks)} (default: {' '.join(networks[:2])})",
    )  # fmt: skip
    parser.add_argument("--images", type=positive, default=64, metavar="N", help="to plan by")
    parser.add_argument("--tests", type=positive, metavar="N", help="test images (default: all)")
    parser.add_argument("--iterations", type=positive, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of all draws")
    return parser


if __name__ == "__main__":
    run_command(main)
