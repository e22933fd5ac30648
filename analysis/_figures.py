"""All figures and the report of a run at once."""

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import tqdm

from analysis._command import styled
from analysis._style import save
from analysis.convergence import plot_convergence
from analysis.correlation import plot_correlation
from analysis.genealogy import plot_genealogy
from analysis.reporting import write_report
from gp_emq.cli._report import FIGURES
from gp_emq.store import RunStore

PLOTS: Mapping[str, Callable[[RunStore], Figure]] = {
    "convergence": plot_convergence,
    "genealogy": plot_genealogy,
    "correlation": plot_correlation,
}


def make_figures(run: Path, out: Path | None = None, *, quiet: bool = True) -> list[Path]:
    """Draw every figure of a run and write its report.

    Args:
        run: folder of the run.
        out: folder for the figures; by default `figures` within the run.
        quiet: show no progress.

    Returns:
        The files written: each figure as PNG and SVG, and the report.

    Raises:
        RunError: the folder is no run, or nothing has been evaluated yet.
    """
    folder = out or run / FIGURES
    written: list[Path] = []
    bar = tqdm(PLOTS.items(), desc="figures", unit="figure", disable=quiet, leave=False)
    with RunStore.open(run, readonly=True) as store, bar:
        for name, plot in bar:
            bar.set_postfix_str(name)
            written += save(styled(plot, store), folder, name)
    written.append(write_report([run], folder / "report.html", quiet=quiet))
    return written
