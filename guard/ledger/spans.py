"""Spans: from when until when a source was watched, with how many frames, so that silence is not taken for absence.

A time that no span covers was not watched by any process that wrote this ledger.
"""

from __future__ import annotations

from guard.ledger.leaves import Leaf

__all__ = ["Span"]


class Span(Leaf, tag="span"):
    """One stretch of time of one source, as one process had it.

    Attributes:
        at, until: its ends by the machine's clock; `clock` is ``disbelieved`` where that was not believed.
        state: ``watched``, or ``silent`` where the process ran and no frame came.
        frames: how many frames were opened; `frame` and `last_frame` are the caller's numbers of the first one, and of
            the last so far.
        dropped: how many numbers are missing between them: frames that the caller had and did not open.
        unjudged: frames whose faces are unknown, since the detector failed or was given no picture.
        returned, raised: released calls that came back, and that ended in an exception of the callee.
        longest_silence_s: the longest time without a frame inside it, to a second.
        seconds: its length by a clock that nobody sets; it differs from `at` to `until` where the machine's was set.
    """

    at: str
    until: str
    clock: str
    source: str | None
    state: str
    frames: int = 0
    frame: int | None = None
    last_frame: int | None = None
    dropped: int = 0
    unjudged: int = 0
    returned: int = 0
    raised: int = 0
    longest_silence_s: float = 0.0
    seconds: float = 0.0

    def rest(self, stated: Leaf) -> Leaf | None:
        """What came after `stated`, an earlier state of this span; None where nothing did."""
        if not isinstance(stated, Span):
            return self
        if stated.until >= self.until and stated.frames >= self.frames:
            return None
        return Span(
            at=stated.until,
            until=self.until,
            clock=self.clock,
            source=self.source,
            state=self.state,
            frames=self.frames - stated.frames,
            last_frame=self.last_frame,
            dropped=self.dropped - stated.dropped,
            unjudged=self.unjudged - stated.unjudged,
            returned=self.returned - stated.returned,
            raised=self.raised - stated.raised,
            longest_silence_s=self.longest_silence_s,
            seconds=round(self.seconds - stated.seconds, 1),
        )
