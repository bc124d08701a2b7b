"""One guard for all elements of a process that name the same file: one record, one detector."""

from __future__ import annotations

import threading
from pathlib import Path

from guard.guard import Guard, load

__all__ = ["borrow", "give_back"]

_lock = threading.Lock()
_lent: dict[Path, tuple[Guard, int]] = {}


def borrow(path: str) -> Guard:
    """The guard of that file, loaded where no element has it yet. Raises as `guard.load` does."""
    key = Path(path).absolute()
    with _lock:
        guard, users = _lent.get(key) or (load(key), 0)
        _lent[key] = (guard, users + 1)
        return guard


def give_back(guard: Guard) -> None:
    """Closes it where no other element uses it."""
    with _lock:
        for key, (lent, users) in list(_lent.items()):
            if lent is not guard:
                continue
            if users > 1:
                _lent[key] = (guard, users - 1)
            else:
                del _lent[key]
                guard.close()
