from ._bench import Bench
from ._build import build_bench
from ._file import read_bench, write_bench
from ._import import import_bench
from ._inputs import BenchInputs, bench_inputs
from ._measure import MeasurementSettings, Measurer, choose_arithmetic
from ._protocol import PROTOCOLS, Protocol, find_protocol
from ._quality import Quality, bench_quality
from ._registry import load_bench
from ._report import describe_bench, model_sizes, plot_bench
from ._sampling import sample_configurations, split_configurations
from ._shipped import list_benches

__all__ = [
    "PROTOCOLS",
    "Bench",
    "BenchInputs",
    "MeasurementSettings",
    "Measurer",
    "Protocol",
    "Quality",
    "bench_inputs",
    "bench_quality",
    "build_bench",
    "choose_arithmetic",
    "describe_bench",
    "find_protocol",
    "import_bench",
    "list_benches",
    "load_bench",
    "model_sizes",
    "plot_bench",
    "read_bench",
    "sample_configurations",
    "split_configurations",
    "write_bench",
]
