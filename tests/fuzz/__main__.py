"""Fuzz the readers: ``python -m tests.fuzz --seconds 60 --target plan``."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ._harness import Figures, Fuzzer, fuzz, load_figures, save_figures
from ._scratch import scratch
from ._targets import TARGETS

_AT_ONCE = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fuzzer, and print a table; 1 if any input did what none may do."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after so long")
    parser.add_argument(
        "--inputs",
        type=int,
        default=100_000,
        metavar="N",
        help="of each target (default: %(default)s)",
    )
    parser.add_argument(
        "--target",
        action="append",
        choices=[target.name for target in TARGETS],
        help="only this kind of file; may be given again",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("fuzzing"),
        help="keeps the figures, which the next call goes on from, and the inputs that fail "
        "(default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    chosen = [
        target for target in TARGETS if options.target is None or target.name in options.target
    ]
    figures = load_figures(options.folder / "figures.json")
    until = None if options.seconds is None else time.monotonic() + options.seconds
    with scratch() as folder:
        fuzzers = {target.name: Fuzzer(target, folder, options.folder) for target in chosen}
        for goal in range(_AT_ONCE, options.inputs + _AT_ONCE, _AT_ONCE):
            for name, fuzzer in fuzzers.items():
                fuzz(fuzzer, figures.setdefault(name, Figures()), min(goal, options.inputs), until)
            save_figures(options.folder / "figures.json", figures)
            if until is not None and time.monotonic() >= until:
                break
    sys.stdout.write(table({target.name: figures[target.name] for target in chosen}))
    failures = [line for target in chosen for line in figures[target.name].failures]
    sys.stderr.writelines(f"{line}\n" for line in failures)
    return 1 if failures else 0


def table(figures: dict[str, Figures]) -> str:
    """Write figures as a Markdown table."""
    lines = [
        "| target | inputs | accepted | refused | seconds | slowest | worst memory |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {each.inputs:,} | {each.accepted:,} | {each.refused:,} | {each.seconds:.0f} | "
        f"{1000 * each.slowest:.0f} ms | {each.memory:.0f} MiB |"
        for name, each in figures.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
