"""Whether latencies of layers add up to those of networks: ``python -m benchmarks.predictions``.

Layers are timed as by ``gp_emq profile``. Then plans are drawn in which every layer has one of the
widths or stays in float, each plan's file is timed whole, all in turn, and what the table predicts
is compared with that. Weights are random: how long a network takes does not depend on them.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from benchmarks.latency import NETWORKS, network_of
from gp_emq.allocation import FLOAT_BITS, LatencyTable
from gp_emq.command import run_command
from gp_emq.export import LayerExporter
from gp_emq.networks import Network, find_layers
from gp_emq.options import OptionParser, one_of
from gp_emq.profiling import ProfileSettings, profile
from gp_emq.profiling._rounds import clock_of, time_in_rounds
from gp_emq.profiling._runtime import Runnable, empty_graph
from gp_emq.quantization import (
    ActivationQuantizer,
    WeightQuantizer,
    calibrate_activations,
    grids_by_name,
    quantize_weights,
)

BITS = (4, 8)


@dataclass(frozen=True)
class Comparison:
    """Predicted beside measured milliseconds, plan by plan."""

    predicted: list[float]
    measured: list[float]

    def line(self, network: str) -> str:
        """Write it as a line of a Markdown table."""
        errors = [
            predicted / measured - 1
            for predicted, measured in zip(self.predicted, self.measured, strict=True)
        ]
        tau = kendalltau(self.predicted, self.measured).statistic
        size = statistics.fmean(map(abs, errors))
        least, most = min(self.measured), max(self.measured)
        return (
            f"| {network} | {len(errors)} | {least:.3g} to {most:.3g} ms "
            f"| {100 * size:.1f} % | {100 * statistics.fmean(errors):+.1f} % "
            f"| {100 * max(errors, key=abs):+.1f} % "
            f"| {tau:.2f} |"
        )


def compare(name: str, plans: int, rounds: int, seed: int) -> tuple[LatencyTable, Comparison]:
    """Profile a network, and time plans of it.

    Args:
        name: One of `benchmarks.latency.NETWORKS`.
        plans: How many.
        rounds: How often each layer and each plan is timed.
        seed: Of the plans.
    """
    model, images = network_of(name, 32 if name == "resnet20" else 224)
    layers = find_layers(model, images[:1])
    network = Network(name, model, layers, tuple(images.shape[1:]))
    table = profile(network, images, ProfileSettings(bits=BITS, rounds=rounds))
    made = quantize_weights(model, layers, BITS, WeightQuantizer(per_channel=True))
    grids = calibrate_activations(model, layers, images, ActivationQuantizer(8))
    inputs = grids_by_name(layers, grids)
    exporter = LayerExporter(model, layers, inputs, network.input_shape)
    generator = np.random.default_rng(seed)
    drawn = []
    for share in np.linspace(0, 1, plans):
        # From all in float to none.
        widths = generator.choice(BITS, len(layers))
        widths[generator.random(len(layers)) >= share] = FLOAT_BITS
        drawn.append([int(bits) for bits in widths])
    files = {
        place: Runnable(
            exporter.graphs(
                {
                    layer.name: made[index, bits]
                    for index, (layer, bits) in enumerate(zip(layers, widths, strict=True))
                    if bits != FLOAT_BITS
                }
            ).whole,
            1,
        )
        for place, widths in enumerate(drawn)
    }
    files[-1] = Runnable(empty_graph(), 1)
    timed = time_in_rounds(
        {place: file.run for place, file in files.items()}, rounds, clock=clock_of(1)
    )
    names = [layer.name for layer in layers]
    return table, Comparison(
        [table.predicted(dict(zip(names, widths, strict=True))) for widths in drawn],
        [timed[place].milliseconds - timed[-1].milliseconds for place in range(plans)],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.predictions", description=__doc__)
    parser.add_argument(
        "networks", nargs="*", type=one_of(NETWORKS), metavar="NETWORK",
        help=f"of {', '.join(NETWORKS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--plans", type=int, default=24, metavar="N")
    parser.add_argument("--rounds", type=int, default=30, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args(arguments)
    sys.stdout.write(
        "| network | plans | measured | error, mean size | mean | largest | tau |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n"
    )
    for name in options.networks or NETWORKS:
        table, found = compare(name, options.plans, options.rounds, options.seed)
        sys.stdout.write(f"{found.line(name)}\n")
        sys.stdout.flush()
        sys.stderr.write(f"{name}: {table.origin}\n")
        for whole in table.whole:
            layers = sum(row.milliseconds for row in table.layers if row.bits == whole.bits)
            sys.stderr.write(f"  {whole.bits} bits: {layers:.4g} of {whole.milliseconds:.4g} ms\n")
    return 0


if __name__ == "__main__":
    run_command(main)
