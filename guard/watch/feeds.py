"""The frames of one feed as they come: read in a thread of its own, paced, looped, opened again after a failure."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guard.errors import GuardError, SourceError
from guard.replay.clip import BrokeOff, Clip, Frame, is_address, is_camera, open_clip, printable

__all__ = ["Feed", "Standing"]

log = logging.getLogger("guard")

State = Literal["opening", "running", "stalled"]

PATIENCE_S = 5.0
"""How long a feed may keep silent before it is closed and opened again."""

_SILENT_S = 3.0
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 30.0
_BEHIND_S = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a feed is doing; `why` says what is wrong, None while nothing is."""

    state: State
    why: str | None = None


class Feed:
    """One feed.

    Args:
        clip: a file, a folder of pictures, a camera or an address. A recording is shown at the pace of its time stamps,
            again and again.
        every_s: frames that come sooner than this after the last one may be left out.
        patience_s: how long a camera or an address may keep silent.
    """

    def __init__(self, clip: str, *, every_s: float = 0.0, patience_s: float = PATIENCE_S) -> None:
        self.name = printable(clip) if is_address(clip) else "/".join(Path(clip).parts[-2:])
        self._clip = clip
        self._every_s = every_s
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._standing = Standing("opening")
        self._came_s = time.monotonic()
        self._silent_s = _SILENT_S
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, begin: Callable[[Clip], None], take: Callable[[Frame], None]) -> None:
        """Begins to read, in a thread from which both are called.

        Args:
            begin: takes every clip that was opened, before its first frame.
            take: takes every frame, and must not wait.
        """
        self._begin, self._take = begin, take
        self._thread = threading.Thread(target=self._run, name="guard-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Asks the reader to end."""
        self._stopped.set()

    def join(self, wait_s: float) -> None:
        """Waits up to `wait_s` seconds until the reader has ended."""
        if self._thread is not None:
            self._thread.join(wait_s)

    def standing(self) -> Standing:
        """How it is doing now."""
        with self._lock:
            standing, silent_s = self._standing, time.monotonic() - self._came_s
        if standing.state == "running" and silent_s > self._silent_s:
            return Standing("stalled", f"no frame for {silent_s:.0f} s")
        return standing

    # ---- in the reader's thread

    def _run(self) -> None:
        wait_s = _FIRST_RETRY_S
        while not self._stopped.is_set():
            try:
                self._show()
                continue
            except GuardError as error:
                why = str(error)
            except Exception as error:
                log.exception("the feed %s failed", self.name)
                why = f"reading it failed: {type(error).__name__}"
            if self._standing.state == "running":
                wait_s = _FIRST_RETRY_S
            self._stand(Standing("stalled", why))
            log.warning("the feed %s stalled: %s", self.name, why)
            self._stopped.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_RETRY_S)

    def _show(self) -> None:
        """Shows the clip once, to its end."""
        if not (is_address(self._clip) or is_camera(self._clip) or Path(self._clip).exists()):
            raise SourceError("there is no such clip any more", where=self.name)  # it was there: no slip of the pen
        with closing(open_clip(self._clip, patience_s=self._patience_s)) as clip:
            self._begin(clip)
            self._silent_s = _SILENT_S + 2 / float(clip.rate)
            started_s = time.monotonic()
            seconds = 0.0
            for frame in clip.frames(every_s=self._every_s):
                seconds = frame.seconds
                if not clip.live:
                    started_s = self._keep_pace(started_s, seconds)
                if self._stopped.is_set():
                    return
                self._came(frame)
            if clip.live:
                raise BrokeOff("the feed ended", where=clip.name)
            self._keep_pace(started_s, seconds + 1 / float(clip.rate))

    def _keep_pace(self, started_s: float, seconds: float) -> float:
        """Waits until the clip is due at `seconds`; gives its start, later by what cannot be caught up."""
        ahead_s = started_s + seconds - time.monotonic()
        if ahead_s > 0:
            self._stopped.wait(ahead_s)
        return started_s - ahead_s if ahead_s < -_BEHIND_S else started_s

    def _came(self, frame: Frame) -> None:
        with self._lock:
            self._came_s = time.monotonic()
            self._standing = Standing("running")
        self._take(frame)

    def _stand(self, standing: Standing) -> None:
        with self._lock:
            self._standing = standing
