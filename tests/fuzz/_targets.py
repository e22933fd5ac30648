"""Every kind of file that a user can hand in: how a valid one is made, changed, and read."""

import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from analysis._run_data import bench_of, best_individual, pareto_front
from gp_emq.ablation import read_study
from gp_emq.allocation import CostTable, load_latencies, load_plan, load_sweep, load_table
from gp_emq.allocation._table_file import _sha256 as table_sha256
from gp_emq.cli._qat import read_qat
from gp_emq.cli._run import _configuration, _parser
from gp_emq.experiment import RunConfiguration
from gp_emq.export import load_quantized, read_record
from gp_emq.files import entry_of
from gp_emq.measured._kept import read_answers
from gp_emq.mqbench import describe_bench, import_bench, model_sizes, read_bench
from gp_emq.mqbench._form import Form
from gp_emq.mqbench._origin import origin_of
from gp_emq.mqbench._partial import partial_results
from gp_emq.networks._arrays import read_arrays
from gp_emq.networks._cifar import read_cifar
from gp_emq.networks._imagenet import _labelled_files
from gp_emq.networks._weights import load_weights
from gp_emq.options import options_from_file
from gp_emq.proxies import language, parse_expression
from gp_emq.proxies._kept import _read as read_table
from gp_emq.proxies.loading import load_proxy
from gp_emq.qat._checkpoint import CHECKPOINT_NAME, load_checkpoint
from gp_emq.qat._samples import FileImages
from gp_emq.quantization import LearnedRoundings
from gp_emq.statistics import open_statistics, sha256_of
from gp_emq.store import STORE_NAME, RunStore

from . import _mutations as change
from . import _samples as sample
from ._old_store import as_format_1

_KEY = "key"


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        name: Of the kind.
        file: Its name, below the folder that it lies in.
        make: Writes a valid one, and what lies beside it.
        change: Gives a mutated one.
        read: Reads it as the package does; raises `GpEmqError` where it is refused.
        readers: The functions that open it, as `module:function`.
        inputs: How many the test suite tries.
    """

    name: str
    file: str
    make: Callable[[Path], None]
    change: change.Mutation
    read: Callable[[Path], object]
    readers: tuple[str, ...]
    inputs: int = 500


def _text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content, encoding="utf-8") and None


def _weights(path: Path) -> None:
    safetensors.torch.save_file(sample.network().state_dict(), path)


def _saved(*, zipped: bool) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        state = {"state_dict": sample.network().state_dict(), "epoch": 3}
        torch.save(state, path, _use_new_zipfile_serialization=zipped)

    return make


def _load_weights(path: Path) -> None:
    load_weights(deepcopy(sample.network()), path)


def _npz(**arrays: object) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)


def _read_partial(path: Path) -> None:
    with partial_results(path, "f", "c", entries=2, form=Form(12)):
        pass


def _read_rounding(path: Path) -> None:
    LearnedRoundings(path.parent).get("layer", {"w": (2, 3)})


def _rounding(path: Path) -> None:
    sample.roundings(path.parent)


def _read_bench(path: Path) -> None:
    bench = read_bench(path)
    origin_of(bench)
    describe_bench(bench)
    model_sizes(bench)


def _read_quantized(path: Path) -> None:
    read_record(path)
    load_quantized(path, sample.network())


def _read_hall(path: Path) -> None:
    _ = load_proxy(path).needs


def _read_picture(path: Path) -> None:
    FileImages([(path, 0)]).fetch(0)


def _read_store(path: Path) -> None:
    with RunStore.open(path.parent) as store:
        RunConfiguration.from_json(store.meta("config"))
        store.meta_as("bench", dict)
        store.individuals()
        store.generations()
        store.ancestry(3)
        bench_of(store)
        best_individual(store)
        pareto_front(store)


def _read_run_options(path: Path) -> None:
    line = options_from_file(["--config", str(path)], switches=("screening", "prioritisation"))
    _configuration(_parser().parse_args(line))


def _read_training_options(path: Path) -> None:
    read_qat(["--bits", "4", "--network", "digits", "--config", str(path)])


def _reseal_quantized(content: bytes, random: "change.Random") -> bytes:
    """Change a quantized network, and give it the checksum of what it then holds."""
    changed = change.of_safetensors(content, random)
    try:
        tensors = safetensors.torch.load(changed)
        length = int.from_bytes(changed[:8], "little")
        header = json.loads(changed[8 : 8 + length])
        record = json.loads(header["__metadata__"]["gp_emq"])
        record["sha256"] = sha256_of(sorted(tensors.items()))
        header["__metadata__"]["gp_emq"] = json.dumps(record)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + changed[8 + length :]
    except Exception:  # noqa: BLE001 - what does not read any more has no checksum
        return changed


def _reseal_packed(content: bytes, random: "change.Random") -> bytes:
    """Change a packed file, and give it the checksum of what it then holds."""
    from gp_emq.export._container import METADATA_KEY, _sha256

    changed = change.of_safetensors(content, random)
    try:
        length = int.from_bytes(changed[:8], "little")
        header = json.loads(changed[8 : 8 + length])
        line = header["__metadata__"][METADATA_KEY].partition("\n")[0]
        header["__metadata__"][METADATA_KEY] = f"{line}\n{_sha256(line, changed)}"
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + changed[8 + length :]
    except Exception:  # noqa: BLE001 - what does not read any more has no checksum
        return changed


def _reseal_table(content: bytes, random: "change.Random") -> bytes:
    """Change saved scores, and give them the checksum of what they then are."""
    changed = change.of_json(content, random)
    try:
        values = json.loads(changed)
        values.pop("sha256", None)
        return json.dumps(values | {"sha256": table_sha256(values)}).encode()
    except Exception:  # noqa: BLE001 - what does not read any more has no checksum
        return changed


def _statistics(path: Path) -> None:
    """Copy a collection, of which one file is then changed, to a folder of another name."""
    collected = sample.statistics(path.parents[1] / "cache").folder
    assert collected is not None
    for file in collected.iterdir():
        content = file.read_bytes()
        if file.suffix == ".json":
            key = f"{path.parent.name}/{file.stem}"
            content = entry_of(key, content.partition(b"\n")[2])
        (path.parent / file.name).write_bytes(content)


def _read_statistics(path: Path) -> None:
    opened = open_statistics(path.parent)
    opened.tensor("weight")
    opened.layout("Activations")


_ENTRY = change.any_of(change.of_json, change.of_text)
_TEXT = change.any_of(change.of_text, change.of_text, change.of_bytes)
_JSON = change.any_of(
    change.of_json, change.of_json, change.of_json, change.of_text, change.of_bytes
)
_TENSORS = change.any_of(change.of_safetensors, change.of_safetensors, change.of_bytes)
_PICKLE = change.any_of(change.of_pickle, change.of_pickle, change.of_bytes)


def _as_targets() -> tuple[Target, ...]:
    documents = "gp_emq.files._documents"
    return (
        Target(
            "plan",
            "plan.json",
            sample.plan,
            _JSON,
            load_plan,
            ("gp_emq.allocation._plan_file:load_plan",),
        ),
        Target(
            "sweep",
            "sweep.json",
            sample.front,
            _JSON,
            load_sweep,
            (
                "gp_emq.allocation._sweep_file:load_sweep",
                f"{documents}:read_document",
                f"{documents}:decode_document",
            ),
        ),
        Target(
            "saved-table",
            "table-file.json",
            sample.table,
            change.any_of(_reseal_table, _reseal_table, change.of_text, change.of_bytes),
            load_table,
            ("gp_emq.allocation._table_file:load_table",),
        ),
        Target(
            "latencies",
            "latency.json",
            sample.latencies,
            _JSON,
            load_latencies,
            ("gp_emq.allocation._latency:load_latencies",),
        ),
        Target(
            "hall-of-fame",
            "hall_of_fame.json",
            sample.hall_of_fame,
            _JSON,
            _read_hall,
            ("gp_emq.store.hall_of_fame:read_hall_of_fame", "gp_emq.files._reading:read_bytes"),
        ),
        Target(
            "costs",
            "costs.csv",
            _text(sample.costs()),
            _TEXT,
            lambda path: CostTable.read(path, 1.0),
            (
                "gp_emq.allocation._budgets:CostTable.read",
                "gp_emq.files._reading:read_rows",
                "gp_emq.files._reading:read_text",
            ),
        ),
        Target(
            "run-options",
            "run.toml",
            _text(sample.RUN_OPTIONS),
            _TEXT,
            _read_run_options,
            (
                "gp_emq.options:options_from_file",
                f"{documents}:read_toml",
                f"{documents}:decode_toml",
            ),
        ),
        Target(
            "training-options",
            "qat.toml",
            _text(sample.TRAINING_OPTIONS),
            _TEXT,
            _read_training_options,
            (),
        ),
        Target(
            "study",
            "study.toml",
            _text(sample.STUDY),
            _TEXT,
            read_study,
            ("gp_emq.ablation._study:read_study",),
        ),
        Target(
            "expression",
            "expression.txt",
            _text("multiply(sum(square(quantization_perturbation)), bits)"),
            _TEXT,
            lambda path: parse_expression(path.read_text(errors="replace"), language()),
            (),
        ),
        Target(
            "bench",
            "bench.safetensors",
            sample.bench,
            _TENSORS,
            _read_bench,
            ("gp_emq.mqbench._file:read_bench", "gp_emq.files._tensors:read_tensors"),
        ),
        Target(
            "published-pickle",
            "published.pkl",
            _published,
            change.any_of(change.from_table(sample.TABLE), _PICKLE),
            lambda path: import_bench(path, network="digits"),
            (
                "gp_emq.mqbench._import:import_bench",
                "gp_emq.mqbench._import:_from_pickle",
                "gp_emq.files._pickles:check_pickle",
            ),
        ),
        Target(
            "published-text",
            "published.txt",
            _text("".join(f"{row['bit_cfg']}:{row['acc']}\n" for row in sample.TABLE.values())),
            _TEXT,
            lambda path: import_bench(path, network="digits"),
            ("gp_emq.mqbench._import:_record",),
        ),
        Target(
            "partial-results",
            "bench.partial",
            sample.partial,
            _TEXT,
            _read_partial,
            (
                "gp_emq.mqbench._partial:PartialResults.__init__",
                "gp_emq.mqbench._partial:_parse",
            ),
        ),
        Target(
            "learned-rounding",
            "layer.safetensors",
            _rounding,
            change.any_of(
                change.in_entry("learned-rounding/layer", change.of_safetensors), change.of_bytes
            ),
            _read_rounding,
            (
                "gp_emq.quantization._learned:LearnedRoundings.get",
                "gp_emq.files._tensors:parse_tensors",
                "gp_emq.files._entries:read_entry",
            ),
        ),
        Target(
            "cached-table",
            "table.json",
            lambda path: path.write_bytes(entry_of(_KEY, b"[[1.0, 2.5], [3.0, 4.0]]")) and None,
            change.any_of(change.in_entry(_KEY, _ENTRY), change.of_bytes),
            lambda path: read_table(path, _KEY, (2, 2)),
            ("gp_emq.proxies._kept:_read",),
        ),
        Target(
            "measured-answers",
            "answers",
            lambda path: path.write_bytes(entry_of(_KEY, bytes(32))) and None,
            change.any_of(change.in_entry(_KEY, _ENTRY), change.of_bytes),
            lambda path: read_answers(path, _KEY, 2),
            ("gp_emq.measured._kept:read_answers",),
        ),
        Target(
            "statistics-index",
            "index.json",
            _statistics,
            change.any_of(change.in_entry("statistics-index/index", _ENTRY), change.of_bytes),
            _read_statistics,
            (
                "gp_emq.statistics._cache:StatisticsFolder.read_header",
                "gp_emq.statistics._cache:StatisticsFolder._entry",
            ),
        ),
        Target(
            "statistics-record",
            "activation.json",
            _statistics,
            change.any_of(change.in_entry("statistics-record/activation", _ENTRY), change.of_bytes),
            _read_statistics,
            ("gp_emq.statistics._cache:StatisticsFolder.read",),
        ),
        Target(
            "statistics-array",
            "weight.npy",
            _statistics,
            change.any_of(change.of_array, change.of_bytes),
            _read_statistics,
            ("gp_emq.files._arrays:open_array",),
        ),
        Target(
            "packed",
            "packed.safetensors",
            sample.packed,
            change.any_of(_reseal_packed, _reseal_packed, change.of_bytes),
            _read_quantized,
            (
                "gp_emq.export._container:read_container",
                "gp_emq.export._header:read_header",
            ),
        ),
        Target(
            "quantized",
            "quantized.safetensors",
            sample.quantized,
            change.any_of(_reseal_quantized, _reseal_quantized, change.of_bytes),
            _read_quantized,
            ("gp_emq.export._unpacked:_read",),
        ),
        Target(
            "weights",
            "weights.safetensors",
            _weights,
            _TENSORS,
            _load_weights,
            ("gp_emq.networks._weights:read_state_dict",),
        ),
        Target(
            "weights-zip",
            "weights.pth",
            _saved(zipped=True),
            change.any_of(change.in_zip(_PICKLE, ending=".pkl", packed=True), change.of_bytes),
            _load_weights,
            ("gp_emq.files._tensors:load_checkpoint_file", "gp_emq.files._tensors:_check_saved"),
        ),
        Target("weights-legacy", "legacy.pth", _saved(zipped=False), _PICKLE, _load_weights, ()),
        Target(
            "checkpoint",
            CHECKPOINT_NAME,
            sample.checkpoint,
            change.any_of(
                change.in_entry(
                    "gp_emq checkpoint", change.in_zip(_PICKLE, ending=".pkl", packed=True)
                ),
                change.of_bytes,
            ),
            lambda path: load_checkpoint(path.parent, sample.CHECKPOINT),
            ("gp_emq.qat._checkpoint:load_checkpoint", "gp_emq.files._entries:open_entry"),
        ),
        Target(
            "arrays",
            "images.npz",
            _npz(x=np.zeros((2, 1, 4, 4), np.float32), y=np.array([0, 1])),
            change.any_of(
                change.in_zip(change.of_array, ending=".npy", packed=True), change.of_bytes
            ),
            read_arrays,
            (
                "gp_emq.networks._arrays:read_arrays",
                "gp_emq.files._arrays:read_npz",
                "gp_emq.files._arrays:_array",
            ),
        ),
        Target(
            "pixels",
            "test.npz",
            _npz(x=np.zeros((2, 32, 32, 3), np.uint8), y=np.array([0, 1])),
            change.any_of(
                change.in_zip(change.of_array, ending=".npy", packed=True), change.of_bytes
            ),
            lambda path: read_cifar([path], part="test"),
            ("gp_emq.networks._cifar:_read_npz",),
        ),
        Target(
            "labels",
            "labels.csv",
            _labels,
            _TEXT,
            lambda path: _labelled_files(path.parent, path),
            ("gp_emq.networks._imagenet:_from_list",),
        ),
        Target(
            "picture-png",
            "picture.png",
            sample.picture,
            change.of_bytes,
            _read_picture,
            ("gp_emq.files._images:read_image", "gp_emq.qat._samples:FileImages.fetch"),
        ),
        Target("picture-jpeg", "picture.jpeg", sample.picture, change.of_bytes, _read_picture, ()),
        Target(
            "store",
            STORE_NAME,
            _store,
            change.any_of(change.of_database, change.of_database, change.of_bytes),
            _read_store,
            (
                "gp_emq.store._database:open_database",
                "gp_emq.store._database:_format_of",
                "gp_emq.store._run_store:RunStore.meta",
                "gp_emq.store._schema:individual_row",
                "gp_emq.store._schema:bench_row",
                "gp_emq.store._schema:generation_row",
                "gp_emq.store._schema:array_value",
                "gp_emq.store._schema:_ids",
            ),
        ),
        Target(
            "store-of-the-format-before",
            STORE_NAME,
            _old_store,
            change.any_of(change.of_database, change.of_database, change.of_bytes),
            _read_store,
            ("gp_emq.store._upgrade:upgrade",),
        ),
    )


def _published(path: Path) -> None:
    path.write_bytes(pickle.dumps(sample.TABLE))


def _labels(path: Path) -> None:
    for name in ("a.png", "b.png"):
        (path.parent / name).touch()
    path.write_text("file,label\na.png,3\nb.png,999\n")


def _store(path: Path) -> None:
    path.unlink(missing_ok=True)
    sample.store(path)


def _old_store(path: Path) -> None:
    _store(path)
    as_format_1(path.parent)


TARGETS = _as_targets()
