"""The frame hook: what the detector saw in one frame, and for how long that counts.

The current frame travels in a context variable, so that a guarded call finds it through asyncio tasks and
`asyncio.to_thread`. What travels on is the source; a frame whose ``with`` has ended says nothing about faces.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from guard.context import captures
from guard.errors import GuardError, GuardFault, SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.facts import Decision, Faces
    from guard.source import Source

__all__ = ["Seen", "check_frame", "context_frame", "current_frame", "frozen_copy", "origin_of", "other_sources"]

log = logging.getLogger("guard")

_current: ContextVar[Seen | None] = ContextVar("guard_frame", default=None)


class Seen:
    """One frame inside its ``with``; made by `Source.frame`.

    Attributes:
        image: the frame as it was handed in, H x W x 3 uint8 BGR (grey H x W and BGRA too); never changed.
        at: capture instant, None where unknown.
        index: the caller's frame number, None where it has none.
        arrived_ns: since when its age counts, of `time.monotonic_ns`.
        decisions: what was decided in this frame so far, oldest first.
        stale_s: under ``detect = "on-change"``, how many seconds ago the detector looked at a whole picture; 0 where it
            looked at this very one.
        timings: microseconds: ``hook`` for entering the frame, ``detect`` for the detector's run, ``decide`` for
            the last decision.
    """

    __slots__ = (
        "_covered",
        "_faces",
        "_fault",
        "_glimpsed",
        "_lock",
        "_token",
        "arrived_ns",
        "at",
        "decisions",
        "finished",
        "image",
        "index",
        "outer",
        "snapshot",
        "source",
        "stale_s",
        "timings",
    )

    def __init__(
        self,
        source: Source,
        image: NDArray[np.uint8],
        at: datetime | None,
        index: int | None,
        arrived_s: float | None = None,
    ) -> None:
        self.source = source
        self.image = image
        self.at = at
        self.index = index
        self.decisions: list[Decision] = []
        self.timings: dict[str, float] = {}
        self.snapshot: NDArray[np.uint8] | None = None
        self.outer: Seen | None = None
        self.finished = False
        self.arrived_ns = None if arrived_s is None else _arrived_ns(arrived_s, source.id)
        self.stale_s = 0.0
        self._glimpsed: Faces | None = None
        self._faces: Faces | None = None
        self._covered: Faces | None = None
        self._fault: str | None = None
        self._lock = threading.Lock()
        self._token: Token[Seen | None] | None = None

    @property
    def faces(self) -> Faces:
        """The faces in this frame: ``.boxes`` float32 N x 4 xyxy in source pixels, ``.scores`` float32 N.

        Under ``detect = "on-demand"`` the first use runs the detector. Under ``"on-change"`` they are those of the
        change-gated detector, up to `stale_s` old; `look` gives this very frame's. Raises `GuardFault` where the
        detector failed or the frame has ended: that is not "no faces".
        """
        found = self.known
        return self.look() if found is None else found

    def look(self) -> Faces:
        """The faces in this very frame, whatever ``detect`` says. Raises `GuardFault` as `faces`."""
        found = self.detect()
        if found is None:
            raise GuardFault(
                f"the faces of this frame are unknown: {self._fault or 'the frame has ended'}",
                where=f"source {self.source.id}",
                mend="read them inside the with block, of a frame that the detector can judge",
            )
        return found

    @property
    def known(self) -> Faces | None:
        """The faces as far as they were looked for, without running the detector: of this very frame if it has run."""
        return self._faces if self._faces is not None or self._fault is not None else self._glimpsed

    @property
    def covered(self) -> Faces | None:
        """What is covered in redacted copies of this frame: its `faces`, then those that were seen a moment ago
        (``face_memory_s``), with score 0. None while the detector has not run."""
        return self._faces if self._covered is None else self._covered

    def covered_in(self, picture: NDArray[Any], found: Faces) -> Faces:
        """What has to be covered in a picture of a call made in this frame: the faces `found` in it, and where it is a
        copy of the frame, encoded or scaled, also what is covered here."""
        covered = self.covered
        if covered is None or not len(covered) or self.finished:
            return found
        from guard.remembering import carried_over

        return carried_over(covered, self.image, found, picture)

    @property
    def fault(self) -> str | None:
        """Why this frame cannot be judged: the feed is not to be trusted, or the detector failed. None while it can."""
        return self._fault

    def detect(self) -> Faces | None:
        """Runs the detector unless it has run; None where the faces are unknown, never an exception of the detector."""
        if self._faces is not None or self._fault is not None:
            return self._faces
        with self._lock:
            if self._faces is None and self._fault is None and not self.finished:
                start = time.perf_counter_ns()
                picture = self.image
                try:
                    if self.source.pixels_matter:
                        picture = self.snapshot = frozen_copy(self.image)
                        self.source.watch.check(picture)
                    faces = self.source.find_faces(picture)
                    if self.source.pixels_matter:
                        self._covered = self.source.remember(faces, picture, self.at)
                    self._faces = faces  # last: another thread takes what is covered once these are there
                except GuardError as error:
                    self._fail(error)
                self.stale_s = 0.0
                self.timings["detect"] = (time.perf_counter_ns() - start) / 1000
        return self._faces

    def _glimpse(self) -> None:
        """Takes the faces of the change-gated detector: evidence and boxes, on which no verdict rests."""
        if self._fault is not None:
            return
        start = time.perf_counter_ns()
        try:
            self._glimpsed, self.stale_s = self.source.gated.look(self.image, self.source.watch.now_s())
        except GuardError as error:
            self._fail(error)
        self.timings["detect"] = (time.perf_counter_ns() - start) / 1000

    def _fail(self, error: GuardError) -> None:
        self._fault = str(error)  # the error itself would keep this frame alive, and be kept by it
        self.source.tally.unjudged(None)
        log.error("source %s: faces unknown: %s", self.source.id, error)

    def late(self, now_ns: int) -> str | None:
        """Why this frame can no longer be judged, None while it can. `now_ns` is of `time.monotonic_ns`."""
        arrived_ns = self.arrived_ns
        if arrived_ns is None:
            return None
        age_s = (now_ns - arrived_ns) / 1e9
        if self.finished or age_s <= self.source.max_age_s:
            return None
        return f"the frame is {age_s:.2f} s old, older than max_age_s = {self.source.max_age_s:g}"

    def __enter__(self) -> Seen:
        watch = self.source.guard.watch
        if watch is None or not watch.listens():
            return self._open()
        with watch.frame(self.source.id):
            return self._open()

    def _open(self) -> Seen:
        start = time.perf_counter_ns()
        if self._token is not None or self.finished:
            raise SourceError("a frame can be opened once", where=f"source {self.source.id}", mend="call frame() again")
        check_frame(self.image, self.source.id)
        now_ns = time.monotonic_ns()
        if self.arrived_ns is None:
            self.arrived_ns = now_ns
        self.outer = _current.get()
        _remember_origin(self.image, self.source)
        context = self.source.context
        if captures.any_live() and not context.live and captures.origin(self.image) == "live":
            context.goes_live()
        self.source.tally.opened(self.index)
        unfit = self.source.watch.enter(self.image, self.at) or self.late(now_ns)
        if unfit is not None:
            self._fault = unfit
        if self.source.every_frame:
            self.detect()
        elif self.source.on_change:
            self._glimpse() if self.source.stands_still() else self.detect()
        self._token = _current.set(self)
        self.timings["hook"] = (time.perf_counter_ns() - start) / 1000
        return self

    def __exit__(self, *exc: object) -> None:
        self.finished = True
        token, self._token = self._token, None
        if token is not None:
            try:
                _current.reset(token)
            except ValueError:
                # Left in another context than entered (an async generator closed elsewhere): that context keeps a
                # finished frame, which says nothing about faces.
                log.debug("source %s: frame left in another context", self.source.id)
        self.snapshot = None
        self.source.watch.leave(self.image)


def current_frame() -> Seen | None:
    """The innermost frame of this context, finished or not; None where there is none."""
    return _current.get()


@contextmanager
def context_frame(seen: Seen | None) -> Iterator[None]:
    """Runs the block under that frame, which another thread opened, or under none."""
    token = _current.set(seen)
    try:
        yield
    finally:
        _current.reset(token)


def _arrived_ns(arrived_s: float, source: str | None) -> int:
    """Of another clock, or yet to come, a frame would never be too old."""
    if not 0 <= arrived_s <= time.monotonic():
        raise SourceError(
            f"the frame is said to have arrived at {arrived_s} s, which is no instant gone by",
            where=f"source {source}",
            mend="give arrived_s from time.monotonic() of this machine",
        )
    return int(arrived_s * 1e9)


def frozen_copy(image: NDArray[Any]) -> NDArray[Any]:
    """A contiguous, read-only copy that nobody else holds."""
    copy = np.array(image, copy=True, order="C", subok=False)
    copy.flags.writeable = False
    return copy


def check_frame(image: object, source: str | None) -> None:
    """Raises `SourceError` for what cannot be a frame, in a microsecond and without touching its pixels."""
    if not isinstance(image, np.ndarray):
        found = f"a {type(image).__module__}.{type(image).__qualname__}"
    elif image.dtype != np.uint8:
        found = f"an array of {image.dtype}"
    elif image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        found = f"an array of shape {image.shape}"
    elif image.size == 0:
        found = f"an empty array of shape {image.shape}"
    else:
        return
    raise SourceError(
        f"the frame is {found}",
        where=f"source {source}",
        mend="hand in H x W x 3 uint8 in BGR order (grey H x W and BGRA H x W x 4 work too)",
    )


# Which source a frame came from, by object identity and for as long as the object lives: it follows a crop (a view),
# not a copy.
_origins: dict[int, tuple[weakref.ref[Any], Source]] = {}
_openers: weakref.WeakSet[Source] = weakref.WeakSet()


def _remember_origin(image: NDArray[Any], source: Source) -> None:
    if not source.has_opened_a_frame:
        source.has_opened_a_frame = True
        _openers.add(source)
    key = id(image)
    known = _origins.get(key)
    if known is not None and known[0]() is image:
        if known[1] is not source:
            _origins[key] = (known[0], source)
        return
    _origins[key] = (weakref.ref(image, partial(_forget_origin, key)), source)


def _forget_origin(key: int, dead: weakref.ref[Any]) -> None:
    known = _origins.get(key)
    if known is not None and known[0] is dead:
        _origins.pop(key, None)


def other_sources(source: Source) -> bool:
    """Whether any other source of this process has opened a frame, so that its pictures could be among arguments."""
    return len(_openers) > source.has_opened_a_frame


def origin_of(image: object) -> Source | None:
    """The source whose frame this array, or the array that it is a view of, was last opened as."""
    for _ in range(8):
        known = _origins.get(id(image))
        if known is not None and known[0]() is image:
            return known[1]
        image = getattr(image, "base", None)
        if image is None:
            return None
    return None
