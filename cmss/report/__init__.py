"""Results to look at and to listen to: figures, and the page that shows them."""

from cmss.report.page import write_report
from cmss.report.technical import write_technical_report

__all__ = ["write_report", "write_technical_report"]
