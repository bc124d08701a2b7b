"""Ids of decisions: unique over processes and cheap enough for every frame."""

from __future__ import annotations

import itertools
import os

__all__ = ["decision_id"]

_serial = itertools.count(1)
_process = (0, "")


def decision_id() -> str:
    """An id that no other decision has, in this process or another: 16 random hex digits and a serial number."""
    global _process
    pid = os.getpid()
    if _process[0] != pid:
        _process = (pid, os.urandom(8).hex())
    return f"{_process[1]}-{next(_serial):x}"
