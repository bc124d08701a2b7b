"""The report of a replay: one HTML file that needs nothing else, made from the run's record, and the same each time."""

from __future__ import annotations

from guard.report.page import page, write_page, write_report
from guard.report.record import Record, film_of, read_record, record_of
from guard.report.sealing import Sealed, sealed

__all__ = [
    "Record",
    "Sealed",
    "film_of",
    "page",
    "read_record",
    "record_of",
    "sealed",
    "write_page",
    "write_report",
]
