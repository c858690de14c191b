"""An experiment as one page of HTML that needs no network: question, figures, scorecard, tables, cost, versions."""

from lth.analysis.report.content import gather
from lth.analysis.report.page import page

__all__ = ["gather", "page"]
