"""Report of a run: figures and sounds on an HTML page, and a draft of the technical report."""

from cmss.report.page import write_report
from cmss.report.technical import write_technical_report

__all__ = ["write_report", "write_technical_report"]
