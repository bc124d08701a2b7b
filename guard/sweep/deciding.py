"""One clip, decided: every call is tried on every frame, with a stand-in at the far end that only counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guard.errors import Denied, GuardFault, SourceError
from guard.facts import Verdict
from guard.matchers import Counting
from guard.replay.checking import begin
from guard.replay.clip import BrokeOff, Clip, Frame
from guard.replay.result import Calls, Reasons
from guard.sweep.task import one_line

if TYPE_CHECKING:
    from guard.facts import Decision, Faces
    from guard.replay.stopping import Stop
    from guard.source import Source
    from guard.sweep.memory import Memory

__all__ = ["Decided", "decide_clip"]


@dataclass(slots=True)
class Decided:
    """What came of a clip. `frames_with_faces` counts frames in which the detector ran and saw a face; `seconds` is the
    length of the clip as far as it was read; `broke_off` says why it ended before its end, None where it did not.
    """

    calls: list[Calls]
    reasons: Reasons = field(default_factory=Reasons)
    frames: int = 0
    frames_with_faces: int = 0
    seconds: float = 0.0
    broke_off: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Its part of ``guard.sweep-unit/1``."""
        return {
            "frames": self.frames,
            "frames_with_faces": self.frames_with_faces,
            "seconds": round(self.seconds, 6),
            "calls": [calls.to_json() for calls in self.calls],
            "reasons": [ruled.to_json() for ruled in self.reasons.ruled()],
            "faults": dict(self.reasons.faults.most_common()),
            "broke_off": self.broke_off,
        }


def decide_clip(
    clip: Clip,
    source: Source,
    calls: Sequence[tuple[str | None, str]],
    *,
    stop: Stop,
    progress: Callable[[float], None] | None = None,
    memory: Memory | None = None,
) -> Decided:
    """Tries `calls`, pairs of action and service, on every frame of `clip`, which is closed afterwards.

    Args:
        clip: an open clip that is no camera.
        source: as what it is judged; fresh, since what is seen of a clip stays with its source.
        stop: asked between two frames whether to end.
        progress: called after each frame with the part that is done, 0 to 1; 0 where nobody knows how long it is.
        memory: keeps the faces that were found, for whoever reads the clip again.

    A clip that breaks off is decided up to there. Raises `SourceError` where there is no frame at all, and
    `KeyboardInterrupt` where it was asked to stop.
    """
    attempts = [_Attempt(source, action, service) for action, service in calls]
    decided = Decided([attempt.calls for attempt in attempts])
    with closing(clip):
        begin(clip, source)
        try:
            for frame in clip.frames():
                if stop.asked:
                    raise KeyboardInterrupt
                faces = _one_frame(frame, source, attempts, decided)
                if memory is not None and faces is not None:
                    memory.keep(frame.image, faces)
                decided.seconds = frame.seconds + float(1 / clip.rate)
                if progress is not None:
                    progress(min(1.0, decided.frames / clip.total) if clip.total else 0.0)
        except BrokeOff as error:
            if not decided.frames:
                raise
            decided.broke_off = one_line(error)
    if not decided.frames:
        raise SourceError("the clip gives no frame", where=clip.name, mend="give a video")
    return decided


class _Attempt:
    """One kind of call: guarded once, counted on both sides."""

    def __init__(self, source: Source, action: str | None, service: str) -> None:
        self.calls = Calls(action, service)
        self._far_end = Counting()
        self._search = source.protect(self._far_end.search, action=action, service=service)

    def make(self, frame: Frame, decisions: list[Decision], reasons: Reasons) -> None:
        """Makes the call; `decisions` are those of the frame, to which the guard adds."""
        decision: Decision | None
        try:
            self._search(frame.image)
            decision = decisions[-1]
        except (Denied, GuardFault) as refused:
            decision = refused.decision
        if decision is None:
            self.calls.count(Verdict.DENY, fault=True)
        else:
            self.calls.count(decision.verdict, fault=decision.fault is not None, enforced=decision.enforced)
            reasons.add(decision)
        self.calls.reached_service = self._far_end.reached


def _one_frame(frame: Frame, source: Source, attempts: Sequence[_Attempt], decided: Decided) -> Faces | None:
    """Tries every call; gives the faces, None where nobody looked or they are unknown."""
    source.watch.clip_s = frame.seconds
    with source.frame(frame.image, at=frame.captured, index=frame.index) as seen:
        for attempt in attempts:
            attempt.make(frame, seen.decisions, decided.reasons)
        faces = seen.known
    decided.frames += 1
    decided.frames_with_faces += faces is not None and len(faces) > 0
    return faces
