"""What the commands of this package share: they take a run and write files."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from analysis._style import STYLE, save
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile, OutputFolder
from gp_emq.store import RunStore

FIGURES = "figures"


def parse_arguments(
    program: str,
    description: str,
    output: str,
    arguments: Sequence[str] | None,
    *,
    kind: OutputFile | OutputFolder,
) -> tuple[Path, Path | None]:
    """Read the command line of a command of this package.

    Args:
        program: name of the module.
        description: what the command does.
        output: what `--out` names, with its default.
        arguments: of the command line; None takes those of the process.
        kind: what `--out` is.

    Returns:
        The run's folder and the value of `--out`.
    """
    parser = OptionParser(prog=f"python -m {program}", description=description)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, e.g. runs/digits")
    parser.add_argument("--out", type=kind, help=output)
    options = parser.parse_args(arguments)
    return options.run, options.out


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
    folder, out = parse_arguments(
        f"analysis.{name}",
        description,
        f"folder for the figure (default: RUN/{FIGURES})",
        arguments,
        kind=OutputFolder(),
    )
    with RunStore.open(folder, readonly=True) as store:
        written = save(styled(plot, store), out or folder / FIGURES, name)
    for path in written:
        sys.stdout.write(f"{path}\n")
    return 0


def styled(plot: Callable[[RunStore], Figure], store: RunStore) -> Figure:
    """Draw a figure in the style of this package, whatever the user's settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        return plot(store)
