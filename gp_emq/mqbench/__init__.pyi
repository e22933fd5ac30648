from ._again import check_alike, check_measurer, settings_of
from ._bench import Bench, configuration_sizes
from ._build import build_bench, check_workers, measured
from ._file import read_bench, write_bench
from ._import import import_bench
from ._inputs import BenchInputs, bench_inputs
from ._measure import (
    MeasurementSettings,
    Measurer,
    choose_arithmetic,
    inputs_of,
    measurer_of,
)
from ._overview import overview
from ._protocol import find_protocol
from ._quality import Quality, bench_quality
from ._registry import load_bench
from ._report import describe_bench, model_sizes
from ._sampling import split_together
from ._selection import BAND, NEIGHBOUR, PLAN, RANDOM, Chosen, Selection
from ._shipped import list_benches
from ._workload_bench import workload_bench

__all__ = [
    "BAND",
    "NEIGHBOUR",
    "PLAN",
    "RANDOM",
    "Bench",
    "BenchInputs",
    "Chosen",
    "MeasurementSettings",
    "Measurer",
    "Quality",
    "Selection",
    "bench_inputs",
    "bench_quality",
    "build_bench",
    "check_alike",
    "check_measurer",
    "check_workers",
    "choose_arithmetic",
    "configuration_sizes",
    "describe_bench",
    "find_protocol",
    "import_bench",
    "inputs_of",
    "list_benches",
    "load_bench",
    "measured",
    "measurer_of",
    "model_sizes",
    "overview",
    "read_bench",
    "settings_of",
    "split_together",
    "workload_bench",
    "write_bench",
]
