"""Fakes for the seams, for our tests and yours: a detector, a record in memory, a clock."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from guard.errors import LedgerError
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.facts import Faces
    from guard.ledger import Entry, Leaf

__all__ = ["FakeClock", "FakeDetector", "MemoryLedger"]


class FakeDetector:
    """Sees what it is told: the same boxes in every picture, or whatever a function of the picture answers.

    Args:
        boxes: N x 4 xyxy in source pixels, or a callable that takes the picture (H x W x 3 uint8) and gives them.
        error: raised instead of answering.
    """

    def __init__(self, boxes: Any = (), *, error: Exception | None = None) -> None:
        self.boxes = boxes
        self.error = error
        self.seen = 0
        self._lock = threading.Lock()

    def detect(self, image: NDArray[Any], *, min_face_px: int = MIN_FACE_PX, face_score: float = FACE_SCORE) -> Faces:
        """Counts the picture and answers."""
        import numpy as np

        from guard.facts import Faces

        with self._lock:
            self.seen += 1
        if self.error is not None:
            raise self.error
        boxes = np.asarray(self.boxes(image) if callable(self.boxes) else self.boxes, np.float32).reshape(-1, 4)
        return Faces(boxes=boxes, scores=np.ones(len(boxes), np.float32))


class MemoryLedger:
    """Keeps entries in `entries`, what their policies are in `policies`, other leaves in `leaves` and `pending`.

    `fail` set to a text makes every release refuse, as a full disk would.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.fail: str | None = None
        self.policies: dict[str, dict[str, Any]] = {}
        self.leaves: list[Leaf] = []
        self.pending: dict[str, Leaf] = {}

    def describe(self, digest: str, policy: Mapping[str, Any]) -> None:
        """See `guard.ledger.Sink`."""
        self.policies[digest] = dict(policy)

    def append(self, leaf: Leaf, *, name: str | None = None) -> None:
        """See `guard.ledger.Sink`."""
        if name is not None:
            self.pending.pop(name, None)
        self.leaves.append(leaf)

    def pend(self, name: str, leaf: Leaf) -> None:
        """See `guard.ledger.Sink`."""
        self.pending[name] = leaf

    def record(self, entry: Entry) -> None:
        """See `guard.ledger.Sink`."""
        if self.fail is not None and entry.released:
            entry.refused = self.fail
            self._keep(entry)
            raise LedgerError(self.fail)
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self.entries[:] = [kept for kept in self.entries if kept.id != entry.id] + [entry]

    def last_at_ns(self) -> int:
        """See `guard.ledger.Sink`."""
        return 0

    def flush(self) -> None:
        """See `guard.ledger.Sink`."""

    def close(self) -> None:
        """See `guard.ledger.Sink`."""

    def verdicts(self) -> Sequence[str]:
        """``allow``, ``redact``, ``deny`` or ``fault`` of every entry, in order."""
        return ["fault" if entry.fault else entry.verdict for entry in self.entries]


class FakeClock:
    """A settable clock: call it for nanoseconds since 1970 UTC."""

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __call__(self) -> int:
        return self.ns
