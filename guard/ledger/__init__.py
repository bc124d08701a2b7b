"""The record: one row for every attempted call, in an SQLite file that anybody can open.

A released call is on disk before it is released; a denial within a second. No field can hold a picture, a vector, a
name or a prompt.
"""

from __future__ import annotations

from guard.ledger.entry import Entry
from guard.ledger.reading import read, summary
from guard.ledger.writing import Ledger, NullLedger, Sink

__all__ = ["Entry", "Ledger", "NullLedger", "Sink", "read", "summary"]
