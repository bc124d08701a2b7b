"""A frame of one source through the guard, as a pipeline would take it: the hook, the calls, and then the picture."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from guard.errors import Denied, GuardError, GuardFault
from guard.matchers import Counting
from guard.replay.checking import begin
from guard.watch.covering import Covering
from guard.watch.tile import Look

if TYPE_CHECKING:
    from guard.facts import Decision
    from guard.frames import Seen
    from guard.replay.clip import Clip
    from guard.source import Source
    from guard.watch.board import Board
    from guard.watch.runs import Attempt

__all__ = ["Analyst"]

log = logging.getLogger("guard")

PICTURE_S = 0.5
"""A new picture of a source is made no more often than this, and only while somebody looks on."""


class Analyst:
    """Takes the frames of one feed through the guard. What the calls reach is a stand-in that only counts.

    Args:
        id: the source's id.
        source: as what the frames are judged.
        attempts: the calls that are tried on each.
        board: what is told of it.

    Raises `ConfigError` for a call that cannot be made.
    """

    def __init__(self, id: str, source: Source, attempts: Sequence[Attempt], board: Board) -> None:
        self._id = id
        self._source = source
        self._board = board
        far_end = Counting()
        self._calls = [
            source.protect(far_end.search, action=attempt.action, service=attempt.service) for attempt in attempts
        ]
        self._covering = Covering(source.guard, source.analyse_per_s)
        self._picture_due_s = 0.0
        source.watch.begin_again(thinned=True)

    def begin(self, clip: Clip) -> None:
        """Takes note that the feed was opened: what its file states, and that it begins anew.

        A clip that is shown again repeats itself: that is this page's doing, and no fault of the feed.
        """
        begin(clip, self._source)
        self._source.watch.begin_again(thinned=True)
        self._covering.forget()

    def handle(self, seen: Seen) -> None:
        """Tries the calls inside an open frame, and tells the board what came of it."""
        start = time.perf_counter_ns()
        decisions = tuple(self._try(number, seen) for number in range(len(self._calls)))
        took_us = seen.timings["hook"] + (time.perf_counter_ns() - start) / 1000
        # After the watch has stopped: a pipeline makes no pictures.
        picture, why_none = self._look(seen)
        faces = None if seen.known is None or seen.fault is not None else len(seen.known)
        contradictions = self._source.context.contradictions
        self._board.saw(self._id, Look(decisions, took_us, faces, contradictions, picture, why_none))

    def _try(self, number: int, seen: Seen) -> Decision:
        try:
            self._calls[number](seen.image)
        except (Denied, GuardFault) as refused:
            if refused.decision is None:
                raise
            return refused.decision
        return seen.decisions[-1]

    def _look(self, seen: Seen) -> tuple[bytes | None, str | None]:
        """The small picture with the faces covered, or why there is none; neither where none is due."""
        viewed = self._board.is_viewed
        if not viewed:
            self._covering.drop()
            if seen.known is None:
                return None, None
        now_s = time.monotonic()
        due = viewed and now_s >= self._picture_due_s
        waited = self._covering.waits
        try:
            # What the change-gated detector says is up to a few seconds old: what leaves is looked at as it is.
            picture = self._covering.take(seen.image, seen.look() if due else seen.faces, wanted=due)
        except GuardError as error:
            why_none = seen.fault or error.what
        except Exception as error:
            log.exception("source %s: no picture could be made", self._id)
            why_none = f"the picture could not be made: {type(error).__name__}"
        else:
            if due and (picture is not None or not waited):
                self._picture_due_s = now_s + PICTURE_S
            return picture, None
        self._covering.drop()
        return None, why_none
