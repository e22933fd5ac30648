"""Kill commands at random moments, and see that nothing is lost: ``python -m tests.soak``."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from ._cycle import Count, Victim, cycle
from ._targets import TARGETS

BACKENDS = ("threading", "loky", "dask")


def soak(name: str, backend: str, kills: int, seed: int, folder: Path) -> Count:
    """Kill a command so many times, in as many runs as that takes.

    Args:
        name: Of the target.
        backend: What its workers are, if it has any.
        kills: SIGKILLs to send.
        seed: Of the moments.
        folder: Where the commands work.
    """
    rng, count = random.Random(f"{name} {backend} {seed}"), Count()
    victim = Victim(name, backend, folder / "command").undisturbed()
    while count.kills < kills and not count.faults:
        cycle(victim, rng, min(rng.randint(1, 6), kills - count.kills), count)
        sys.stderr.write(
            f"{name}, {backend}: {count.kills} of {kills} kills ({count.workers} of a worker), "
            f"{count.identical} of {count.runs} runs identical\n"
        )
    return count


def main() -> int:
    """Run the command; status 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each combination (default: 20)")
    parser.add_argument("--target", choices=TARGETS, nargs="+", default=list(TARGETS))
    parser.add_argument("--backend", choices=BACKENDS, nargs="+", default=list(BACKENDS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    lost = False
    sys.stdout.write("| target | back end | kills | of a worker | runs | identical |\n")
    sys.stdout.write("|---|---|---:|---:|---:|---:|\n")
    for name in options.target:
        for backend in options.backend if TARGETS[name].farmed else ["–"]:
            with tempfile.TemporaryDirectory() as folder:
                count = soak(name, backend, options.kills, options.seed, Path(folder))
            sys.stdout.write(
                f"| {name} | {backend} | {count.kills} | {count.workers} | {count.runs} | "
                f"{count.identical} |\n"
            )
            sys.stdout.flush()
            for fault in count.faults:
                sys.stderr.write(f"{name}, {backend}: {fault}\n")
            lost = lost or count.identical < count.runs
    return int(lost)


if __name__ == "__main__":
    sys.exit(main())
