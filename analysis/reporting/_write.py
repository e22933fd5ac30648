"""Putting a report together and writing it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

from tqdm import tqdm

from analysis.reporting import _page as html
from analysis.reporting._agreements import agreements
from analysis.reporting._comparison import comparison
from analysis.reporting._sections import Progress, sections
from analysis.reporting._source import RunSource, read_runs
from gp_emq.files import atomic_write_text


def write_report(folders: Sequence[Path], path: Path, *, quiet: bool = False) -> Path:
    """Write a self-contained HTML page about a run, or several side by side.

    Args:
        folders: of the runs.
        path: of the page; its folder is made if it is missing.
        quiet: show no progress.

    Returns:
        The path.

    Raises:
        RunError: one of them is no run or has evaluated nothing yet, or the page cannot be written.
    """
    text = report_page(folders, quiet=quiet)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, text)
    return path


def report_page(folders: Sequence[Path], *, quiet: bool = True) -> str:
    """The HTML page about a run, or several; the rest is as for `write_report`."""
    with _progress(quiet=quiet) as progress:
        runs = read_runs(folders)
        found = [agreements(run) for run in runs]
        if len(runs) == 1:
            (run,) = runs
            several = len(run.networks) > 1
            title = f"A proxy for {f'{len(run.networks)} benches' if several else run.networks[0]}"
            body = [*_top(title, run), *sections(run, found[0], progress, level=2)]
        else:
            title = f"{len(runs)} searches side by side"
            body = [f"<header>{html.heading(1, title)}{_links(runs)}</header>"]
            body += comparison(runs, found)
            for place, (run, known) in enumerate(zip(runs, found, strict=True)):
                body += [html.heading(2, run.label, f"run{place}")]
                body += sections(run, known, progress, level=3, prefix=f"run{place}-")
        progress("writing the page")
        return html.page(title, body)


def _top(title: str, run: RunSource) -> list[str]:
    last = run.search.generations[-1]
    state = "" if run.summary is not None else ", not finished"
    lead = (
        f"Run {run.label}: {last.generation} generations, {last.evaluations:,} evaluations{state}"
    )
    if len(run.networks) > 1:
        lead += f", on {', '.join(run.networks)}"
    return [
        f"<header>{html.heading(1, title)}",
        f'<p class="lead">{escape(lead)}</p></header>',
    ]


def _links(runs: Sequence[RunSource]) -> str:
    links = [f'<a href="#run{place}">{escape(run.label)}</a>' for place, run in enumerate(runs)]
    return f'<nav aria-label="runs">{"".join(links)}</nav>'


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """Show what is being made."""
    with tqdm(desc="report", unit="part", disable=quiet, leave=False) as bar:

        def tell(what: str) -> None:
            bar.set_postfix_str(what, refresh=False)
            bar.update()

        yield tell
