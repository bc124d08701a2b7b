"""The report of a replay: one HTML file that needs nothing else, and says the same for the same result."""

from __future__ import annotations

from guard.report.page import page, write_report

__all__ = ["page", "write_report"]
