"""The verdict table: what becomes of one call under one set of facts, with and without faces, and how long
that holds.

Per source and call a column is compiled once; per frame the policy costs a look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from guard.facts import Lift, Reason, Verdict

__all__ = ["Column", "Ruling"]


class Ruling:
    """A verdict with the rules that forbade. `fault` says why the guard could not decide; the verdict is deny
    then."""

    __slots__ = ("_answer", "_explain", "fault", "reasons", "verdict")

    verdict: Verdict
    reasons: tuple[Reason, ...]
    fault: str | None
    _explain: Callable[[], Lift] | None
    _answer: Lift | None

    def __init__(
        self,
        verdict: Verdict,
        reasons: tuple[Reason, ...] = (),
        *,
        fault: str | None = None,
        explain: Callable[[], Lift] | None = None,
    ) -> None:
        """`explain` computes what would turn a denial; it is asked once, at the first use."""
        if fault is not None and verdict is not Verdict.DENY:
            raise ValueError("a ruling with a fault is a denial")
        for name, value in (("verdict", verdict), ("reasons", reasons), ("fault", fault)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_explain", explain)
        object.__setattr__(self, "_answer", None)

    def lifted_by(self) -> Lift:
        """What would turn the denial; empty where nothing listed would, and for any other verdict.

        Takes milliseconds at the first use, more where little is known; later uses give the same answer at
        once.
        """
        if self.verdict is not Verdict.DENY or self._explain is None:
            return []
        answer = self._answer
        if answer is None:
            answer = self._explain()
            object.__setattr__(self, "_answer", answer)
        return [list(item) if isinstance(item, list) else item for item in answer]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a ruling is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a ruling is immutable")

    def __repr__(self) -> str:
        return f"<Ruling {self.verdict.value}: {self.fault or ', '.join(reason.rule for reason in self.reasons)}>"


class Column:
    """The rulings for one call, true while the time of use lies in [`valid_from`, `valid_until`); None = no
    such end.

    A column for an unknown time has neither end and holds as long as the time stays unknown (`timeless`).
    """

    __slots__ = ("hinges_on_faces", "no_face", "timeless", "valid_from", "valid_until", "with_faces")

    no_face: Ruling
    with_faces: Ruling
    hinges_on_faces: bool
    valid_from: datetime | None
    valid_until: datetime | None
    timeless: bool

    def __init__(
        self,
        no_face: Ruling,
        with_faces: Ruling,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        *,
        timeless: bool = False,
    ) -> None:
        for name, value in (
            ("no_face", no_face),
            ("with_faces", with_faces),
            ("hinges_on_faces", no_face is not with_faces),
            ("valid_from", valid_from),
            ("valid_until", valid_until),
            ("timeless", timeless),
        ):
            object.__setattr__(self, name, value)

    def ruling(self, faces: int | None) -> Ruling:
        """The ruling for a count of faces; None = unknown, which counts as some."""
        return self.no_face if faces == 0 else self.with_faces

    def covers(self, at: datetime | None) -> bool:
        """Whether the column holds at this instant; None = unknown."""
        if at is None or self.timeless:
            return at is None and self.timeless
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at < self.valid_until
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a column is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a column is immutable")
