"""A path to be taken, and what came of it: all that goes to the process that takes it, and all that comes back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

__all__ = ["PATIENCE_S", "Outcome", "Stamp", "Task", "one_line", "shown"]

PATIENCE_S: Final = 600.0
"""How long the process that takes a file may finish no frame of it before it counts as hung."""

Stamp = tuple[int, int, int, int, int]


@dataclass(slots=True)
class Task:
    """One path to be taken.

    Attributes:
        path: the file.
        known: its stamp and content when it was last seen, so that an unchanged one is not read again.
        losses: how many processes were lost with it: they died of it, or hung.
    """

    path: Path
    known: tuple[Stamp, str] | None = None
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one path.

    Attributes:
        path: the file.
        status: ``made`` now, ``there`` already (from an earlier run, or from the same content elsewhere), ``broken``:
            it cannot be read, ``failed``: the guard cannot work, so that the sweep should end.
        unit: id of its unit, None where it is broken.
        reason: why it is broken, one line.
        stamp: device, inode, size and times of change of the file: while they stay, so does its content.
        content: SHA-256 of the file.
    """

    path: Path
    status: Literal["made", "there", "broken", "failed"]
    unit: str | None = None
    reason: str | None = None
    stamp: Stamp | None = None
    content: str | None = None


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def shown(path: Path) -> str:
    """A path as text, whatever bytes it is of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
