"""The record: every attempted call, in an SQLite file that anybody can open, and that shows where it was edited.

A released call is on disk before it is released; a denial within a second. Records are leaves of a Merkle tree whose
root is signed again and again. No field can hold a picture, a vector, a name or a prompt.
"""

from __future__ import annotations

from guard.ledger.entry import Entry
from guard.ledger.leaves import Leaf
from guard.ledger.reading import leaves, read, summary
from guard.ledger.sink import NullLedger, Sink
from guard.ledger.spans import Span
from guard.ledger.writing import Ledger

__all__ = ["Entry", "Leaf", "Ledger", "NullLedger", "Sink", "Span", "leaves", "read", "summary"]
