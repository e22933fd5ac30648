"""Valid files, as small as they may be, and the networks that they are of."""

import io
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from gp_emq.allocation import (
    CostSettings,
    LatencyTable,
    LayerLatency,
    Problem,
    ScoredNetwork,
    WholeLatency,
    allocate,
    make_budgets,
    save_latencies,
    save_plan,
    save_sweep,
    save_table,
    search_space,
    sweep,
)
from gp_emq.experiment import RunConfiguration
from gp_emq.export import save_quantized
from gp_emq.mqbench import Bench, write_bench
from gp_emq.mqbench._form import Form
from gp_emq.mqbench._partial import partial_results
from gp_emq.networks import find_layers, registered_layers
from gp_emq.proxies import SensitivityTable
from gp_emq.ptq import quantize
from gp_emq.qat._checkpoint import CHECKPOINT_NAME, Checkpoint, EpochRecord, save_checkpoint
from gp_emq.quantization import LearnedRoundings
from gp_emq.statistics import Statistics, collect_statistics
from gp_emq.store import (
    BenchRow,
    FittedFormula,
    GenerationRow,
    HallOfFame,
    IndividualRow,
    Member,
    Provenance,
    RunStore,
    write_hall_of_fame,
)

from ._unpacked_file import save_unpacked

TABLE = {k: {"bit_cfg": str([2 + k] * 14), "acc": 60.5 + k} for k in range(3)}
RUN_OPTIONS = """bench = "digits"
seed = 3
pop = 10
crossover = 0.5
screening = false
data = ["images", "more.csv"]
seed_proxies = ["all", "bits"]
time_limit = 9.5
"""
STUDY = """benches = ["digits"]
held_out = ["plain-digits-rtn-channel"]
seeds = 2
evaluations = 50
settings = { population = 20, primitives = "weights_only" }
[variants.reference]
[variants.unscreened]
screening = false
benches = ["plain-digits-rtn-tensor", "digits"]
"""
TRAINING_OPTIONS = """network = "digits"
epochs = 2
learning-rate = 0.02
first-last-bits = "plan"
warm_up = 0.5
seed = 1
quiet = true
"""
CHECKPOINT = {"seed": "0", "code": "c"}


@cache
def network() -> nn.Module:
    """A convolution, a batch norm and a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)
        ).eval()


@cache
def images() -> torch.Tensor:
    return torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))


@cache
def layers() -> Any:
    return find_layers(network(), images()[:1])


@cache
def _quantized() -> Any:
    return quantize(network(), {"0": 3, "4": 4}, images())


@cache
def _plan() -> Any:
    plan = allocate([[-3.0, -2.0, -1.0]] * 2, layers(), bits=(2, 3, 4), average_bits=3)
    return replace(plan, provenance={"network": "digits"})


@cache
def statistics(folder: Path) -> Statistics:
    """Statistics of the network, collected into a folder."""
    made = collect_statistics(network(), images(), bits=(2, 3), cache=folder)
    made.prepare(["weight", "activation"])
    return made


def plan(path: Path) -> None:
    save_plan(_plan(), path)


def front(path: Path) -> None:
    space, settings = search_space(layers(), (2, 3)), CostSettings()
    budgets = make_budgets(space, settings, average_bits=3)
    problem = Problem.of(np.array([[-3.0, -2.0]] * 2), space, budgets)
    save_sweep(sweep(problem, settings, points=3), path)


def table(path: Path) -> None:
    made = SensitivityTable(np.array([[-3.0, -2.0]] * 2), bits=(2, 3), layers=layers(), proxy="fit")
    save_table(ScoredNetwork(made, {"ompq": made, "random": None}), path)


def latencies(path: Path) -> None:
    rows = [
        LayerLatency(layer.name, bits, 0.5, 0.1, "Conv", False, bits)
        for layer in layers()
        for bits in (2, 32)
    ]
    whole = (WholeLatency(2, 1.5, 0.1), WholeLatency(32, 1.5, 0.1))
    save_latencies(LatencyTable("n", "p", "r", 1, "wall", 8, tuple(rows), whole), path)


def hall_of_fame(path: Path) -> None:
    member = Member(
        id=3, generation=1, expression="sum(square(quantization_perturbation))", canonical="c",
        formula="f", size=3, depth=2, training_tau=0.5, validation_tau=0.25, sign=-1, best=True,
    )  # fmt: skip
    other = replace(member, id=4, best=False, expression="bits", size=1)
    provenance = Provenance(
        bench="digits", bench_sha256="0" * 64, statistics_sha256="1" * 64,
        primitive_set="bit_aware", seed=0, generations=2, evaluations=9,
    )  # fmt: skip
    write_hall_of_fame(path, HallOfFame(provenance, (other, member)))


def bench(path: Path) -> None:
    rng = np.random.default_rng(0)
    right = rng.random((4, 12)) < 0.6
    layers = registered_layers("digits")
    made = Bench(
        name="small", network="digits", layers=tuple(layer.name for layer in layers),
        entries=tuple((place,) for place in range(len(layers))), bits=(2, 3), protocol="rtn",
        configurations=rng.integers(2, 4, (4, len(layers)), dtype=np.int8),
        accuracies=right.mean(axis=1), correct=np.packbits(right, axis=1), images=12,
        split=np.array([0, 0, 1, 2], dtype=np.int8), groups=12,
        provenance={
            "seed": 3,
            "weights_sha256": None,
            "protocol": {
                "weights": {"symmetric": True, "per_channel": False, "scale_rule": "mse"},
                "activations": {"bits": 8, "symmetric": False, "scale_rule": "minmax"},
                "calibration_images": 8, "iterations": 0, "name": "rtn",
            },
        },
    )  # fmt: skip
    write_bench(made, path)


def partial(path: Path) -> None:
    with partial_results(path, "f", "c", entries=2, form=Form(12)) as results:
        for width in (2, 3, 4):
            results.add([width, 2], np.arange(2, dtype=np.uint8))


def roundings(folder: Path) -> Path:
    LearnedRoundings(folder).put("layer", {"w": torch.arange(6, dtype=torch.int16).reshape(2, 3)})
    return folder / "layer.safetensors"


def packed(path: Path) -> None:
    save_quantized(_quantized(), path, method="rtn", settings={"seed": 0}, plan=_plan())


def quantized(path: Path) -> None:
    save_unpacked(_quantized(), path, method="rtn", settings={"seed": 0}, plan=_plan())


def checkpoint(path: Path) -> None:
    record = EpochRecord(1, 2, 0.1, 0.5, 0.75, None, 1.5)
    optimizer = torch.optim.SGD(network().parameters(), momentum=0.9)
    made = Checkpoint(CHECKPOINT, network().state_dict(), optimizer.state_dict(), {}, (record,))
    save_checkpoint(path.parent, made)
    assert path.name == CHECKPOINT_NAME


def picture(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, path.suffix.removeprefix("."))
    path.write_bytes(made.getvalue())


def store(path: Path) -> None:
    """A run of two generations."""
    rows = [
        IndividualRow(
            id=k, generation=k // 2, place=k % 2, attempt=0, operator="seed",
            parents=() if k < 2 else (k - 2,), expression="bits", canonical="bits", size=1,
            depth=0, training_tau=0.5 + k / 10, validation_tau=0.25, sign=1, seconds=0.1,
            benches=(BenchRow("small", 0.5, 0.25, np.full((2, 2), float(k))),),
        )
        for k in range(4)
    ]  # fmt: skip
    arrays = {
        "configurations": np.array([[2, 2], [2, 3], [3, 2], [3, 3]], dtype=np.int8),
        "accuracies": np.array([0.1, 0.2, 0.3, 0.4]),
        "split": np.array([0, 0, 1, 2], dtype=np.int8),
        "bits": np.array([2, 3], dtype=np.int8),
    }
    meta = {
        "config": asdict(RunConfiguration()),
        "bench": {"name": "small", "sha256": "0" * 64},
        "entry_names": ["a", "b"],
        "generations": 2,
        "statistics_sha256": "1" * 64,
    }
    with RunStore.create(path.parent, meta, arrays) as made:
        for number in (0, 1):
            generation = GenerationRow(
                generation=number, population=(2 * number, 2 * number + 1), best_training=0.5,
                median_training=0.4, best_validation=0.25, diversity=0.5, evaluations=2,
                proposals=2, rejections={"duplicate": 1}, seconds=0.5,
            )  # fmt: skip
            made.commit_generation(rows[2 * number : 2 * number + 2], generation)
        fitted = asdict(FittedFormula.of(rows[3]))
        made.set_meta("summary", {"best": 3, "front": [0, 3], "rows": [], "fitted": fitted})


def costs() -> str:
    rows = [
        f"{layer.name},{bits},{bits * 0.5}"
        for layer in registered_layers("digits")[:3]
        for bits in (2, 3)
    ]
    return "layer,bits,cost\n" + "\n".join(rows) + "\n"
