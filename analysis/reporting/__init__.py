"""The report: one page about a run, or several side by side, that needs no network."""

from analysis.reporting._write import report_page, write_report

__all__ = ["report_page", "write_report"]
