"""Watches the frames of one source beside its calls: is this feed what its file says, and can it be judged at all?

About five times a second a thumbnail is taken when a frame is left, so after its calls were made; all others cost a
look at the clock. What was found holds for the frames that follow.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from guard.context.finding import Finding
from guard.context.makers import MOBILE
from guard.context.standing import Context
from guard.context.timestamps import Timestamps
from guard.errors import GuardFault
from guard.vision.integrity import FeedIntegrity, unfit
from guard.vision.motion import Motion, MotionWitness
from guard.vision.thumbnail import thumbnail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.context.camera import Camera

__all__ = ["SAMPLE_S", "Watch", "mount_finding"]

log = logging.getLogger("guard")

SAMPLE_S = 0.2


class Watch:
    """The eyes on one source.

    Args:
        context: what is believed of it; told of what is seen.
        camera: what its file says of the camera.
        max_age_s: how old a frame of a live feed may be.

    Attributes:
        fault: why frames of this feed cannot be judged now, None while they can.
        motion: what the camera-motion witness said last.
        header: what the header of the clip at hand says otherwise than is declared of the camera, None where nothing.
        clip_s: the clip's own time in seconds, where frames are read from a file faster or slower than they were taken;
            None for the machine's clock.
    """

    __slots__ = (
        "_camera",
        "_context",
        "_due_s",
        "_integrity",
        "_lock",
        "_max_age_s",
        "_reported",
        "_size",
        "_stamps",
        "_witness",
        "clip_s",
        "fault",
        "header",
        "motion",
    )

    def __init__(self, context: Context, camera: Camera, max_age_s: float) -> None:
        self._context = context
        self._camera = camera
        self._max_age_s = max_age_s
        self._size = camera.size
        self._lock = threading.Lock()
        self._reported = ""
        self.clip_s: float | None = None
        self.header: str | None = None
        self.begin_again()

    def begin_again(self, *, thinned: bool = False) -> None:
        """Forgets the frames seen so far: what follows is a clip from its start, and no repetition of them.

        Findings of the source stay. `thinned` says that only some of the feed's frames are handed in, so that how many
        come says nothing of the camera.
        """
        camera = self._camera
        with self._lock:
            self._stamps = Timestamps(self._context, replace(camera, fps=None) if thinned else camera, self._max_age_s)
            self._witness = MotionWitness(presets=camera.ptz)
            # An upload is no feed: the same picture may be handed in twice.
            uploads = self._context.declared.known("capture.mount") == frozenset({"file"})
            self._integrity = None if uploads else FeedIntegrity(frozen_s=camera.frozen_s)
            self._due_s = float("-inf")
            self.fault: str | None = None
            self.motion = Motion("cannot-tell")

    def enter(self, image: NDArray[Any], at: datetime | None) -> str | None:
        """Why this frame cannot be judged, None where it can: its size, its time stamp, how the feed was of late."""
        size = self._size
        if size is not None and (image.shape[1], image.shape[0]) != size:
            return f"the picture is {image.shape[1]} x {image.shape[0]}, and {size[0]} x {size[1]} are declared"
        return self._stamps.take(at, self.clip_s) or self.header or self.fault

    def skipped(self) -> None:
        """A frame came and is not looked at: it counts for the pace of the feed all the same."""
        self._stamps.came(self.clip_s)

    def check(self, picture: NDArray[Any]) -> None:
        """Raises `GuardFault` where nothing can be seen in this very picture, on which a call hinges."""
        found = unfit(thumbnail(picture))
        if found is not None:
            raise GuardFault(found)

    def now_s(self) -> float:
        """The instant of the frame at hand: of the clip's time where it has one, else of the machine's clock."""
        return time.monotonic() if self.clip_s is None else self.clip_s

    def leave(self, image: NDArray[Any]) -> None:
        """Takes a thumbnail of the frame where one is due. Never raises."""
        now_s = self.now_s()
        if 0 < self._due_s - now_s <= SAMPLE_S:
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread of the same source is at it
        try:
            # From the instant that was due, not from this one, so that the pace does not slip with the frame rate.
            late_s = now_s - self._due_s
            self._due_s = now_s + SAMPLE_S - (late_s if 0 <= late_s < SAMPLE_S / 2 else 0.0)
            self.sample(image, now_s)
        finally:
            self._lock.release()

    def sample(self, image: NDArray[Any], at_s: float) -> None:
        """Looks at one frame, of the instant `at_s` in seconds of any clock. What breaks here is no permission."""
        try:
            small = thumbnail(image)
            fault = unfit(small)
            if fault is None and self._integrity is not None:
                fault = self._integrity.see(small, at_s)
            motion = self._witness.see(small, at_s)
        except Exception as error:
            log.exception("source %s: the watch failed", self._context.source)
            self.fault = f"the watch over this feed failed: {type(error).__name__}: {error}"
            self._context.doubt(["capture.mount"], "the camera-motion witness failed, so its mount is unknown")
            return
        if fault != self.fault:
            log.warning("source %s: %s", self._context.source, fault or "the feed can be judged again")
        self.fault = fault
        self.motion = motion
        if motion.state != self._reported:
            self._reported = motion.state
            self._context.saw(mount_finding(self._context, motion))


def mount_finding(context: Context, motion: Motion) -> Finding:
    """What the witness's word means for `capture.mount`.

    A moving camera is one of the mobile mounts. One that stands still agrees with ``fixed``, and says nothing against
    any other: a body camera stands still while its wearer does.
    """
    facts = context.declared
    if motion.state == "moving":
        return Finding.compared(facts, "capture.mount", MOBILE, motion.confidence, motion.evidence)
    seen = ("fixed",) if motion.state == "still" else ()
    found = Finding.compared(facts, "capture.mount", seen, motion.confidence, motion.evidence)
    if found.verdict == "contradicted":
        return Finding(found.name, found.declared, seen, "cannot-tell", 0.0, motion.evidence)
    return found
