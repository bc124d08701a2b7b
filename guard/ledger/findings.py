"""What a verification found: counts, and every value that is not as it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Problem", "Verification"]

_MOST = 20
"""How many problems are listed: one is enough to fail, and a cut file would list thousands."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written. `seq` is its place in the tree, `id` its call; None = no such."""

    what: str
    seq: int | None = None
    id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "seq": self.seq, "id": self.id}


@dataclass(slots=True)
class Verification:
    """The outcome. `sealed` and `unsealed` count leaves.

    Attributes:
        problems: what is wrong; at most 20.
        pinned: whether a public key from elsewhere was held against the checkpoints.
        held: sizes of the checkpoints from elsewhere that the file still contains whole.
        keys: the C2SP verifier keys that the file names.
        records, calls: those that count; calls of pending runs included.
        lost: refusals that the file says have no record.
        unsealed_calls: calls that no checkpoint covers yet.
        open_sessions: how many processes opened the ledger and have not closed it: at work, or killed.
    """

    problems: list[Problem] = field(default_factory=list)
    origin: str = ""
    pinned: bool = False
    held: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    leaves: int = 0
    records: int = 0
    calls: int = 0
    pruned: int = 0
    lost: int = 0
    checkpoints: int = 0
    sealed: int = 0
    sealed_at: str | None = None
    unsealed: int = 0
    unsealed_calls: int = 0
    sessions: int = 0
    open_sessions: int = 0

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def first_bad(self) -> Problem | None:
        """The first leaf that is not as it was written, as far as it can be told."""
        placed = [problem for problem in self.problems if problem.seq is not None]
        return min(placed, key=lambda problem: problem.seq or 0, default=None)

    def add(self, what: str, seq: int | None = None, id: str | None = None) -> None:
        """Notes a problem."""
        if len(self.problems) < _MOST:
            self.problems.append(Problem(what, seq, id))

    def to_json(self) -> dict[str, Any]:
        """The fields of ``guard.ledger-verify/1`` but for the file's name."""
        first = self.first_bad
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "problems"}
        return {
            "verified": self.verified,
            "first_bad": None if first is None else first.to_json(),
            "problems": [problem.to_json() for problem in self.problems],
            **plain,
        }
