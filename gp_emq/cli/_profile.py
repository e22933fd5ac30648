"""The options of ``gp_emq profile``."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gp_emq.cli._allocate_parser import widths
from gp_emq.cli._options import (
    OWN_IMAGES,
    add_inputs,
    add_number,
    add_per_tensor,
    add_seed,
    add_workload,
    settings_of,
)
from gp_emq.errors import AllocationError
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile
from gp_emq.profiling import ALL_BITS, IMAGES, ROUNDS


@dataclass(frozen=True, kw_only=True)
class ProfileCommand:
    """What the command line asks for: its options, by name."""

    network: str | None
    workload: str | None
    weights: Path | None
    data: tuple[Path, ...]
    images: int
    seed: int
    bits: tuple[int, ...]
    activation_bits: int
    per_tensor: bool
    threads: int
    rounds: int
    out: Path


def read_profile(given: Sequence[str] | None) -> ProfileCommand:
    """Read the command line of ``gp_emq.profile``.

    Raises:
        GpEmqError: It is wrong, or its options contradict each other.
    """
    options = make_parser().parse_args(given)
    if options.workload is not None and (options.network is not None or options.data):
        raise AllocationError("--workload brings network and data along: give it without them")
    if options.workload is None and options.network is None:
        options.network = "digits"
    return settings_of(ProfileCommand, options)


@cache
def make_parser() -> OptionParser:
    """Make the parser of the command."""
    parser = OptionParser(
        prog="python -m gp_emq.profile",
        description="Time every layer of a network on this machine, at every width, as onnxruntime "
        "runs it in the file of the whole network. The times go to a file, for gp_emq allocate "
        "--latency-table; a summary goes to standard output.",
    )
    what = parser.add_argument_group("network")
    add_inputs(
        what, "a known network, or a function that returns one, alone or with its input shape "
        "(default: digits)", data=f"{OWN_IMAGES}; the grids of inputs are chosen from them",
    )  # fmt: skip
    add_workload(what)
    add_number(what, "--images", "images that choose the grids of inputs", IMAGES)
    add_seed(what, "of the draw of images")
    how = parser.add_argument_group("what to time")
    how.add_argument(
        "--bits", type=_widths, metavar="B,B,...", default=ALL_BITS,
        help="widths of weights, beside float (default: all)",
    )  # fmt: skip
    add_number(
        how, "--activation-bits", "of the inputs of quantized layers, 32 for float", 8, metavar="B"
    )
    add_per_tensor(how)
    add_number(how, "--threads", "threads of onnxruntime", 1)
    add_number(how, "--rounds", "how often each layer is timed, in turn with all others", ROUNDS)
    how.add_argument(
        "--out", type=OutputFile(), default=Path("latency.json"), metavar="FILE",
        help="where the times go (default: %(default)s)",
    )  # fmt: skip
    return parser


def _widths(text: str) -> tuple[int, ...]:
    found = widths(text)
    for bits in found:
        if bits not in ALL_BITS:
            raise argparse.ArgumentTypeError(f"must be {ALL_BITS[0]} to {ALL_BITS[-1]}, got {bits}")
    return found
