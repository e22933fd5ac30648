"""Figures and the report of a run, made from its store alone.

`plot_convergence`, `plot_correlation` and `plot_genealogy` draw one figure each, `make_figures` all
of them, and `write_report` puts them on a page.
"""

import importlib
from typing import TYPE_CHECKING, Any

import gp_emq  # noqa: F401 - it sees to Ctrl-C while a command imports matplotlib

if TYPE_CHECKING:
    from analysis._figures import make_figures
    from analysis.convergence import plot_convergence
    from analysis.correlation import plot_correlation
    from analysis.genealogy import plot_genealogy
    from analysis.reporting import write_report

__all__ = [
    "make_figures",
    "plot_convergence",
    "plot_correlation",
    "plot_genealogy",
    "write_report",
]

_HOMES = {
    "make_figures": "_figures",
    "plot_convergence": "convergence",
    "plot_correlation": "correlation",
    "plot_genealogy": "genealogy",
    "write_report": "reporting",
}


def __getattr__(name: str) -> Any:
    # Looked up when asked for: `python -m analysis.convergence` runs that module as a script,
    # which Python warns of if the package has imported it before.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
