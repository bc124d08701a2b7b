"""`guard sweep`: whole archives, decided and recorded file by file, on many processes or machines.

The unit of work is one file. Its records go into a ledger of its own, in a folder that gets its name when all of it is
on disk: a unit that was broken off has left nothing that counts, and one that is done is never done again.
"""

from __future__ import annotations

from guard.sweep.order import Order, order_of
from guard.sweep.running import sweep
from guard.sweep.summary import Summary

__all__ = ["Order", "Summary", "order_of", "sweep"]
