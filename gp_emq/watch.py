"""Follow a run under way: ``python -m gp_emq.watch RUN``."""

from collections.abc import Sequence

from gp_emq.cli._watch import read_watch
from gp_emq.command import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, its exit status."""
    settings = read_watch(arguments)
    from gp_emq import watching  # noqa: PLC0415 - help needs no numpy

    if settings.once:
        watching.show_once(settings.run)
    else:
        watching.follow(settings.run, settings.interval)
    return 0


if __name__ == "__main__":
    run_command(main)
