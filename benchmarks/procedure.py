"""A candidate's fitness against the published procedure.

The public scripts collect the statistics anew and evaluate the tree for each of 50 configurations;
here both are done once per network, and all training configurations are scored.
"""

from benchmarks.timing import Row, compare
from gp_emq.determinism import one_thread
from gp_emq.evolution._screening import TableScreen
from gp_emq.mqbench import bench_inputs, load_bench
from gp_emq.objectives import BenchObjective
from gp_emq.proxies import parse_expression
from gp_emq.statistics import Statistics, collect_statistics
from primitives import load_primitive_set

CONFIGURATIONS = 50
EXPRESSION = "multiply(mean(square(weight_gradient)), mean(square(quantization_perturbation)))"


def benchmark(repeats: int = 9) -> list[Row]:
    """Measure on the digits bench, with a formula that needs one backward pass."""
    bench = load_bench("digits")
    inputs = bench_inputs(bench)
    primitive_set = load_primitive_set("bit_aware")
    tree = parse_expression(EXPRESSION, primitive_set)
    objective = BenchObjective(bench)

    def collected() -> Statistics:
        return collect_statistics(
            inputs.calibration,
            bits=bench.bits,
            quantizer=inputs.quantizer,
            layers=inputs.network.layers,
        )

    statistics = collected()
    screen = TableScreen(primitive_set, statistics, cache_bytes=0)
    screen.tables([tree])

    def ours() -> None:
        table = screen.tables([tree])[0]
        if not isinstance(table, str):
            objective.measure([(table,)])

    def published() -> None:
        # One configuration's worth: statistics, then the tree.
        TableScreen(primitive_set, collected(), probing=False).tables([tree])

    with one_thread():
        row = compare(
            f"a candidate's fitness, {len(objective.training)} configurations",
            ours,
            f"statistics and tree anew for each of {CONFIGURATIONS} configurations",
            published,
            repeats=repeats,
            share=1 / CONFIGURATIONS,
        )
    return [row]
