"""Every kind of file that a user can hand in: how a valid one is made, changed, and read."""

import numpy as np

from gp_emq.ablation import read_study
from gp_emq.allocation import CostTable, load_latencies, load_plan, load_sweep, load_table
from gp_emq.files import entry_of
from gp_emq.measured._kept import read_answers, read_metric
from gp_emq.mqbench import import_bench
from gp_emq.networks._arrays import read_arrays
from gp_emq.networks._cifar import read_cifar
from gp_emq.networks._imagenet import _labelled_files
from gp_emq.proxies import language, parse_expression
from gp_emq.proxies._kept import _read as read_table
from gp_emq.qat._checkpoint import CHECKPOINT_NAME, load_checkpoint
from gp_emq.store import STORE_NAME

from . import _making as make
from . import _mutations as change
from . import _reading as read
from . import _resealing as reseal
from . import _samples as sample
from ._target import Target

_KEY = "key"
_DOCUMENTS = "gp_emq.files._documents"

_ENTRY = change.any_of(change.of_json, change.of_text)
_TEXT = change.any_of(change.of_text, change.of_text, change.of_bytes)
_JSON = change.any_of(
    change.of_json, change.of_json, change.of_json, change.of_text, change.of_bytes
)
_TENSORS = change.any_of(change.of_safetensors, change.of_safetensors, change.of_bytes)
_PICKLE = change.any_of(change.of_pickle, change.of_pickle, change.of_bytes)

PLANS = (
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
            f"{_DOCUMENTS}:read_document",
            f"{_DOCUMENTS}:decode_document",
        ),
    ),
    Target(
        "saved-table",
        "table-file.json",
        sample.table,
        change.any_of(reseal.table, reseal.table, change.of_text, change.of_bytes),
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
        read.hall_of_fame,
        ("gp_emq.store.hall_of_fame:read_hall_of_fame", "gp_emq.files._reading:read_bytes"),
    ),
    Target(
        "costs",
        "costs.csv",
        make.text(sample.costs()),
        _TEXT,
        lambda path: CostTable.read(path, 1.0),
        (
            "gp_emq.allocation._budgets:CostTable.read",
            "gp_emq.files._reading:read_rows",
            "gp_emq.files._reading:read_text",
        ),
    ),
)
"""What allocation reads and writes."""

OPTIONS = (
    Target(
        "run-options",
        "run.toml",
        make.text(sample.RUN_OPTIONS),
        _TEXT,
        read.run_options,
        (
            "gp_emq.options:options_from_file",
            f"{_DOCUMENTS}:read_toml",
            f"{_DOCUMENTS}:decode_toml",
        ),
    ),
    Target(
        "training-options",
        "qat.toml",
        make.text(sample.TRAINING_OPTIONS),
        _TEXT,
        read.training_options,
        (),
    ),
    Target(
        "study",
        "study.toml",
        make.text(sample.STUDY),
        _TEXT,
        read_study,
        ("gp_emq.ablation._study:read_study",),
    ),
    Target(
        "expression",
        "expression.txt",
        make.text("multiply(sum(square(quantization_perturbation)), bits)"),
        _TEXT,
        lambda path: parse_expression(path.read_text(errors="replace"), language()),
        (),
    ),
)
"""What a user writes by hand."""

BENCHES = (
    Target(
        "bench",
        "bench.safetensors",
        sample.bench,
        _TENSORS,
        read.bench,
        ("gp_emq.mqbench._file:read_bench", "gp_emq.files._tensors:read_tensors"),
    ),
    Target(
        "published-pickle",
        "published.pkl",
        make.published,
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
        make.text("".join(f"{row['bit_cfg']}:{row['acc']}\n" for row in sample.TABLE.values())),
        _TEXT,
        lambda path: import_bench(path, network="digits"),
        ("gp_emq.mqbench._import:_record",),
    ),
    Target(
        "partial-results",
        "bench.partial",
        sample.partial,
        _TEXT,
        read.partial,
        (
            "gp_emq.mqbench._partial:PartialResults.__init__",
            "gp_emq.mqbench._partial:_parse",
        ),
    ),
)
"""Benches, and what building one leaves behind."""

CACHES = (
    Target(
        "learned-rounding",
        "layer.safetensors",
        make.rounding,
        change.any_of(
            change.in_entry("learned-rounding/layer", change.of_safetensors), change.of_bytes
        ),
        read.rounding,
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
        "measured-plan",
        "metric",
        lambda path: path.write_bytes(entry_of(_KEY, bytes(8))) and None,
        change.any_of(change.in_entry(_KEY, _ENTRY), change.of_bytes),
        lambda path: read_metric(path, _KEY),
        ("gp_emq.measured._kept:read_metric",),
    ),
    Target(
        "statistics-index",
        "index.json",
        make.statistics,
        change.any_of(change.in_entry("statistics-index/index", _ENTRY), change.of_bytes),
        read.statistics,
        (
            "gp_emq.statistics._cache:StatisticsFolder.read_header",
            "gp_emq.statistics._cache:StatisticsFolder._entry",
        ),
    ),
    Target(
        "statistics-record",
        "activation.json",
        make.statistics,
        change.any_of(change.in_entry("statistics-record/activation", _ENTRY), change.of_bytes),
        read.statistics,
        ("gp_emq.statistics._cache:StatisticsFolder.read",),
    ),
    Target(
        "statistics-array",
        "weight.npy",
        make.statistics,
        change.any_of(change.of_array, change.of_bytes),
        read.statistics,
        ("gp_emq.files._arrays:open_array",),
    ),
)
"""What is kept so that it is not computed again."""

NETWORKS = (
    Target(
        "packed",
        "packed.safetensors",
        sample.packed,
        change.any_of(reseal.packed, reseal.packed, change.of_bytes),
        read.quantized,
        (
            "gp_emq.export._container:read_container",
            "gp_emq.export._header:read_header",
        ),
    ),
    Target(
        "quantized",
        "quantized.safetensors",
        sample.quantized,
        change.any_of(reseal.quantized, reseal.quantized, change.of_bytes),
        read.quantized,
        ("gp_emq.export._unpacked:_read",),
    ),
    Target(
        "weights",
        "weights.safetensors",
        make.weights,
        _TENSORS,
        read.weights,
        ("gp_emq.networks._weights:read_state_dict",),
    ),
    Target(
        "weights-zip",
        "weights.pth",
        make.checkpoint(zipped=True),
        change.any_of(change.in_zip(_PICKLE, ending=".pkl", packed=True), change.of_bytes),
        read.weights,
        ("gp_emq.files._tensors:load_checkpoint_file", "gp_emq.files._tensors:_check_saved"),
    ),
    Target(
        "weights-legacy", "legacy.pth", make.checkpoint(zipped=False), _PICKLE, read.weights, ()
    ),
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
)
"""Networks and their weights."""

DATA = (
    Target(
        "arrays",
        "images.npz",
        make.arrays(x=np.zeros((2, 1, 4, 4), np.float32), y=np.array([0, 1])),
        change.any_of(change.in_zip(change.of_array, ending=".npy", packed=True), change.of_bytes),
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
        make.arrays(x=np.zeros((2, 32, 32, 3), np.uint8), y=np.array([0, 1])),
        change.any_of(change.in_zip(change.of_array, ending=".npy", packed=True), change.of_bytes),
        lambda path: read_cifar([path], part="test"),
        ("gp_emq.networks._cifar:_read_npz",),
    ),
    Target(
        "labels",
        "labels.csv",
        make.labels,
        _TEXT,
        lambda path: _labelled_files(path.parent, path),
        ("gp_emq.networks._imagenet:_from_list",),
    ),
    Target(
        "picture-png",
        "picture.png",
        sample.picture,
        change.of_bytes,
        read.picture,
        ("gp_emq.files._images:read_image", "gp_emq.qat._samples:FileImages.fetch"),
    ),
    Target("picture-jpeg", "picture.jpeg", sample.picture, change.of_bytes, read.picture, ()),
)
"""Images and labels."""

RUNS = (
    Target(
        "store",
        STORE_NAME,
        make.store,
        change.any_of(change.of_database, change.of_database, change.of_bytes),
        read.store,
        (
            "gp_emq.store._database:open_database",
            "gp_emq.store._database:_format_of",
            "gp_emq.store._run_store:RunStore.meta",
            "gp_emq.store._schema:individual_row",
            "gp_emq.store._schema:bench_row",
            "gp_emq.store._schema:generation_row",
            "gp_emq.store._schema:array_value",
            "gp_emq.store._schema:_ids",
            "gp_emq.store._fitted:FittedFormula.row",
        ),
    ),
    Target(
        "store-of-the-format-before",
        STORE_NAME,
        make.old_store,
        change.any_of(change.of_database, change.of_database, change.of_bytes),
        read.store,
        ("gp_emq.store._upgrade:upgrade",),
    ),
)
"""Stores of searches."""

TARGETS = (*PLANS, *OPTIONS, *BENCHES, *CACHES, *NETWORKS, *DATA, *RUNS)
