"""What the commands of this package share: they take a run and draw it."""

import sys
from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from analysis._style import STYLE, save
from gp_emq.cli._report import FIGURES, read_report
from gp_emq.outputs import OutputFolder
from gp_emq.store import RunStore


def draw(
    name: str,
    description: str,
    plot: Callable[[RunStore], Figure],
    arguments: Sequence[str] | None,
) -> int:
    """Run a command that draws one figure of a run.

    Args:
        name: of the figure and of the module.
        description: what the figure shows.
        plot: draws it.
        arguments: of the command line; None takes those of the process.

    Raises:
        RunError: the folder is no run, or the figure cannot be written.
    """
    asked = read_report(
        f"analysis.{name}",
        description,
        f"folder for the figure (default: RUN/{FIGURES})",
        arguments,
        kind=OutputFolder(),
    )
    with RunStore.open(asked.run, readonly=True) as store:
        written = save(styled(plot, store), asked.out or asked.run / FIGURES, name)
    for path in written:
        sys.stdout.write(f"{path}\n")
    return 0


def styled(plot: Callable[[RunStore], Figure], store: RunStore) -> Figure:
    """Draw a figure in the style of this package, whatever the user's settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        return plot(store)
