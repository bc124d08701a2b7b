"""Time stamps and pace of a feed: do they run forwards, are they late, do as many frames come as were declared?"""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guard.context.camera import Camera
    from guard.context.standing import Context

__all__ = ["Timestamps"]

_STANDS_STILL_S = 2.0
"""A caller may stamp by whole seconds; no clock stands for two."""
_COUNTED_S = 10.0
_MOST, _LEAST = 1.5, 0.5
_FEWEST = 4


class Timestamps:
    """Of one feed; `take` costs a microsecond or two a frame."""

    __slots__ = ("_context", "_fps", "_frames", "_last", "_max_age_s", "_pace", "_since_s", "_stands_since_s")

    def __init__(self, context: Context, camera: Camera, max_age_s: float) -> None:
        self._context = context
        self._max_age_s = max_age_s
        self._fps = camera.fps
        self._last: datetime | None = None
        self._stands_since_s = 0.0
        self._frames = 0
        self._since_s = 0.0
        self._pace: str | None = None

    def take(self, at: datetime | None, clip_s: float | None) -> str | None:
        """Why the frame taken `at`, at `clip_s` of its clip, cannot be judged; None where it can."""
        self.came(clip_s)
        if at is None:
            return self._pace
        last, self._last = self._last, at
        if self._context.live:
            age_s = time.time() - at.timestamp()
            if age_s > self._max_age_s:
                return f"the feed is late: this frame was taken {age_s:.1f} s ago"
            if age_s < -self._max_age_s:
                return f"the feed is ahead of its time: this frame is said to be taken {-age_s:.1f} s from now"
        if last is None or at > last:
            self._stands_since_s = 0.0
        elif at < last:
            return f"the feed's time stamps run backwards, by {(last - at).total_seconds():.3g} s"
        else:
            now_s = time.monotonic() if clip_s is None else clip_s
            self._stands_since_s = self._stands_since_s or now_s
            if now_s - self._stands_since_s >= _STANDS_STILL_S:
                return f"the feed's time stamps have stood still for {now_s - self._stands_since_s:.0f} s"
        return self._pace

    def came(self, clip_s: float | None) -> None:
        """Counts a frame, at `clip_s` of its clip, for the pace of the feed."""
        if self._fps is not None:
            self._count(self._fps, time.monotonic() if clip_s is None else clip_s)

    def _count(self, declared: float, now_s: float) -> None:
        if not self._frames or now_s < self._since_s:
            self._frames, self._since_s = 1, now_s
            return
        lasted_s = now_s - self._since_s
        if lasted_s < _COUNTED_S or (self._frames < _FEWEST and lasted_s < _FEWEST / declared):
            self._frames += 1
            return
        found = self._frames / lasted_s
        self._frames, self._since_s = 1, now_s
        fits = _LEAST * declared <= found <= _MOST * declared
        self._pace = None if fits else f"{found:.1f} frames a second come, and {declared:g} are declared"
