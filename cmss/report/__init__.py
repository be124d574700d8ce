"""Writes the HTML report of a run, with figures and sounds, and drafts a technical report."""

from cmss.report.page import write_report
from cmss.report.technical import write_technical_report

__all__ = ["write_report", "write_technical_report"]
