"""Quantization-aware training: ``python -m gp_emq.qat --plan plan.json``."""

import sys
from collections.abc import Sequence

from gp_emq.cli._qat import read_qat
from gp_emq.command import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, its exit status."""
    asked = read_qat(list(sys.argv[1:] if arguments is None else arguments))
    from gp_emq.qat._command import train_as_asked  # noqa: PLC0415 - imports torch

    train_as_asked(asked)
    return 0


if __name__ == "__main__":
    run_command(main)
