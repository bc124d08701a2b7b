"""Checkpoints held against the tree: those in the file, and those that somebody kept elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guard.ledger import notes
from guard.ledger.findings import Verification
from guard.ledger.merkle import Frontier

__all__ = ["Seals"]


@dataclass(frozen=True, slots=True)
class _Seal:
    label: str
    note: str
    checkpoint: notes.Checkpoint
    outside: bool


class Seals:
    """Every checkpoint that a ledger is held against; what is wrong with one goes into `found`.

    Attributes:
        sizes: the sizes at which the tree has to be asked for its root.
        own_sizes: those of the checkpoints in the file.
        sealed: how many leaves the newest checkpoint in the file is over.
    """

    def __init__(self, connection: sqlite3.Connection, found: Verification, outside: Mapping[str, str]) -> None:
        """`found` knows the ledger's origin already."""
        self._found = found
        self._good = 0
        self._matched: set[str] = set()
        self._seals = self._read(connection)
        for name, note in outside.items():
            try:
                self._seals.append(_Seal(name, note, notes.parse(note), outside=True))
            except ValueError as error:
                found.add(f"{name} is no checkpoint: {error}")
        self._at: dict[int, list[_Seal]] = {}
        for seal in list(self._seals):
            if seal.checkpoint.origin != found.origin:
                found.add(f"{seal.label} is of another ledger, {seal.checkpoint.origin!r}")
                self._seals.remove(seal)
                continue
            self._at.setdefault(seal.checkpoint.size, []).append(seal)
        own = [seal.checkpoint for seal in self._seals if not seal.outside]
        self.own_sizes = {checkpoint.size for checkpoint in own}
        self.sizes = frozenset(self._at)
        self.sealed = own[-1].size if own else 0
        found.checkpoints = len(own)
        found.sealed = self.sealed
        found.sealed_at = own[-1].at if own else None

    def _read(self, connection: sqlite3.Connection) -> list[_Seal]:
        seals: list[_Seal] = []
        expected, size = 1, 0
        for number, note in connection.execute("SELECT number, note FROM checkpoints ORDER BY number"):
            label = f"checkpoint {number}"
            if number != expected:
                self._found.add(f"checkpoint {expected} is missing", size)
            expected = number + 1
            try:
                checkpoint = notes.parse(note)
            except (ValueError, TypeError, AttributeError) as error:
                self._found.add(f"{label} cannot be read: {error}", size)
                continue
            if checkpoint.number != number or checkpoint.size < size:
                self._found.add(f"{label} was moved: it says that it is checkpoint {checkpoint.number}", size)
            size = checkpoint.size
            seals.append(_Seal(label, note, checkpoint, outside=False))
        return seals

    def match(self, tree: Frontier) -> bool:
        """Whether the tree has the root that is stated for its size."""
        root = tree.root()
        for seal in self._at[tree.size]:
            if seal.checkpoint.root != root:
                self._found.add(*self._difference(seal, tree.size - 1))
                return False
            self._matched.add(seal.label)
        self._good = tree.size
        return True

    def _difference(self, seal: _Seal, last: int) -> tuple[str, int | None]:
        """What to say of a root that is not the signed one: the first bad leaf is known, or lies between two seals."""
        if any(problem.seq is not None and self._good <= problem.seq <= last for problem in self._found.problems):
            return f"{seal.label} was signed over other leaves up to leaf {last}", None
        where = f"leaf {last}" if self._good == last else f"one of leaves {self._good} to {last}"
        return f"{where} was changed together with its hash: {seal.label} was signed over another", self._good

    def finish(self, leaves: int, keys: Sequence[bytes], *, broken: bool) -> None:
        """Checks signatures, and that nothing is signed that is not there. `broken`: that was said already."""
        whose = "with the public key that was given" if self._found.pinned else "with a key that the ledger names"
        for seal in self._seals:
            checkpoint = seal.checkpoint
            if not any(notes.signed_by(seal.note, key) for key in keys):
                self._found.add(f"{seal.label} is not signed {whose}: it was forged or changed")
            elif checkpoint.size > leaves and not broken:
                self._found.add(
                    f"{seal.label} is over {checkpoint.size} leaves, and {leaves} are there: the tail was cut off",
                    leaves,
                )
                broken = not seal.outside
            elif seal.outside and seal.label in self._matched:
                self._found.held.append(checkpoint.size)
