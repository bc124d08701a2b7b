"""The folder of a sweep: what lies where, and how a unit gets its name.

::

    OUT/units/3f/3f9c...e1/unit.json       what came of a clip; the folder is named by clip and settings
                          /decisions.db    the records of this clip, closed and signed
                          /redacted.mp4    the clip with every face hidden, where that was asked for
    OUT/parts/                             units being made; nothing in it counts
    OUT/state.db                           which path is which unit; can be made again from the rest
    OUT/index.jsonl, sweep.json            for the auditor, see `guard.sweep.summary`
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from guard.errors import GuardError, LedgerError

__all__ = ["LEDGER", "REDACTED", "Folder"]

LEDGER = "decisions.db"
REDACTED = "redacted.mp4"
_UNIT = "unit.json"


class Folder:
    """The folder of one sweep. Every method but `alone` may be called by many processes at once."""

    def __init__(self, out: Path) -> None:
        self.out = out

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, no other sweep runs in this folder; what killed processes left half-done is gone before and
        after.

        Raises `GuardError` where one is at work, and where the folder cannot be used.
        """
        with self._lock():
            self._discard_parts()
            yield
            self._discard_parts()

    def unit(self, id: str) -> Path:
        """Where a unit lies once it is done."""
        return self.out / "units" / id[:2] / id

    def units(self) -> Iterator[str]:
        """The ids of all units that are done, of every run."""
        return (folder.name for folder in (self.out / "units").glob("??/*"))

    def done(self, id: str) -> dict[str, Any] | None:
        """What came of a unit; None where it is not done."""
        try:
            found = json.loads((self.unit(id) / _UNIT).read_bytes())
            if not isinstance(found, dict) or found.get("unit") != id:
                raise ValueError("it says nothing of this unit")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            where = str(self.unit(id))
            raise LedgerError(
                f"a unit cannot be read: {error}", where=where, mend="remove it, to have it made again"
            ) from None
        return found

    @contextmanager
    def part(self) -> Iterator[Path]:
        """A fresh folder to make a unit in; whatever is in it at the end is discarded."""
        part = self.out / "parts" / os.urandom(16).hex()
        part.mkdir(parents=True)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def publish(self, part: Path, id: str, unit: Mapping[str, Any]) -> bool:
        """Gives a unit its name, in one step; False where another process was first, whose unit stands.

        All of it is on disk before the name is.
        """
        with open(part / _UNIT, "w", encoding="utf-8") as file:
            json.dump(unit, file, ensure_ascii=False, indent=1)
        for made in part.iterdir():
            _sync(made)
        _sync(part)
        target = self.unit(id)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(part, target)
        except OSError:
            if self.done(id) is None:
                raise
            return False
        _sync(target.parent)
        return True

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            lock = open(self.out / "sweep.lock", "w")  # noqa: SIM115 - closed below
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException:
                lock.close()
                raise
        except BlockingIOError:
            what = "another sweep is at work in this folder"
            raise GuardError(what, where=str(self.out), mend="wait for it, or name another --out") from None
        except OSError as error:
            what = f"the folder cannot be used: {error.strerror}"
            raise GuardError(what, where=str(self.out), mend="name another --out, where files can be locked") from None
        with lock:
            yield

    def _discard_parts(self) -> None:
        parts = self.out / "parts"
        if not parts.is_dir():
            return
        # Renamed first: an orphaned process that still works in one can no longer give it a name.
        gone = self.out / f"parts.{os.urandom(4).hex()}"
        os.rename(parts, gone)
        for left in self.out.glob("parts.*"):
            with suppress(OSError):
                shutil.rmtree(left)


def _sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
