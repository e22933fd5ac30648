"""Benches: bit configurations of a network with the accuracies they really give."""

from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._build import build_bench
from gp_emq.mqbench._file import read_bench, write_bench
from gp_emq.mqbench._import import import_bench
from gp_emq.mqbench._inputs import BenchInputs, bench_inputs
from gp_emq.mqbench._measure import MeasurementSettings, Measurer, choose_arithmetic
from gp_emq.mqbench._protocol import PROTOCOLS, Protocol, find_protocol
from gp_emq.mqbench._quality import Quality, bench_quality
from gp_emq.mqbench._registry import list_benches, load_bench
from gp_emq.mqbench._report import describe_bench, model_sizes, plot_bench
from gp_emq.mqbench._sampling import sample_configurations, split_configurations
from gp_emq.mqbench._workload_bench import workload_bench

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
    "workload_bench",
    "write_bench",
]
