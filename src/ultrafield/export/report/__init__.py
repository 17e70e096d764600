"""report.html: what a run made, how far it can be trusted, and what it took, on one page that needs no network."""

from __future__ import annotations

from .content import Curve, Figure, Period, ReportContent, ViewMaps
from .page import report_html

__all__ = ["Curve", "Figure", "Period", "ReportContent", "ViewMaps", "report_html"]
