"""The report: one page about a run, or several side by side, that needs no network.

`report_page` gives the page, and `write_report` writes it.
"""

from analysis.reporting._write import report_page, write_report

__all__ = ["report_page", "write_report"]
