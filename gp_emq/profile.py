"""Time layers on this machine: ``python -m gp_emq.profile --network digits --out latency.json``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from gp_emq import allocation, networks, profiling
from gp_emq.cli._profile import ProfileCommand, read_profile
from gp_emq.command import run_command
from gp_emq.outputs import check_output_file

if TYPE_CHECKING:
    from gp_emq.allocation import LatencyTable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, its exit status."""
    asked = read_profile(arguments)
    check_output_file(asked.out)
    profiling.require_onnxruntime()
    table = _profiled(asked)
    allocation.save_latencies(table, asked.out)
    sys.stderr.write(f"wrote {asked.out}\n")
    sys.stdout.write(profiling.format_latencies(table))
    return 0


def _profiled(asked: ProfileCommand) -> "LatencyTable":
    """Time the layers under a progress bar."""
    inputs = networks.load_inputs(asked.network, asked.weights, asked.data, workload=asked.workload)
    samples = inputs.calibration(asked.images, asked.seed).samples
    settings = profiling.ProfileSettings(
        bits=asked.bits,
        activation_bits=asked.activation_bits,
        per_channel=not asked.per_tensor,
        threads=asked.threads,
        rounds=asked.rounds,
    )
    with tqdm(
        file=sys.stderr,
        unit="step",
        leave=False,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    ) as bar:

        def show(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description_str(what, refresh=False)
            bar.update(done - bar.n)

        return profiling.profile(inputs.network, samples, settings, progress=show)


if __name__ == "__main__":
    run_command(main)
