"""The camera-motion witness: is the camera itself moving, or does it stand still?

Before a fixed camera people and traffic come and go, but corners of the place behind them rest, in nearly every
comparison of two thumbnails; before a moving one none do, save what travels with it and what lies straight ahead. So
the share of corners that rest, over 3 s, tells the two apart. A crowd that hides most of the place leaves few, too:
such a picture is only called motion where one camera could have seen it. Then the corners agree on one motion, most
parts of the picture look as that motion would have it and not as they did, and few corners go against the rest. Before
a camera of which it is known how its place looks, it is not called motion while some of that place is where it was.
Where there is too little to see (the dark, a bare wall), the witness cannot tell, and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from guard.vision.motion_pairs import FEWEST, Pair, compared
from guard.vision.motion_place import Place
from guard.vision.thumbnail import Thumbnail

__all__ = ["Motion", "MotionWitness"]

State = Literal["moving", "still", "cannot-tell"]

WINDOW = 14
"""Comparisons that are weighed together: at five thumbnails a second 2.8 s."""
LONGEST_GAP_S = 2.0
"""Thumbnails further apart than this are not compared."""
ESTABLISHED_S = 10.0
"""A camera that stood still for so long is believed to have stood: something may hide its whole view for a while."""
OUTLIVES_S = 30.0
"""How long motion must last to overrule that. A bus that fills the picture has passed by then, and a crowd has shown
something of the place behind it."""
GLIMPSED_S = 4.0
"""How long it must last after the camera stood still at all."""
DOUBTED_S = 10.0
"""The same, where a crowd could look like it."""
PRESET_S = 30.0
"""How long a camera that can pan, tilt and zoom may move at a time."""

# `benchmarks/witness.py` measures what these are worth, and says on which feeds they were chosen.
_LEAST_TOLD = WINDOW // 2
_RESTLESS, _LITTLE_AT_REST, _MUCH_AT_REST = 0.13, 0.22, 0.25
_COHERENT, _MORE_COHERENT = 0.3, 0.42
_SHAKEN_PX, _MOVED_PX = 0.4, 1.0
_CLEAR, _DOUBTFUL, _MOST_AGAINST = 0.4, 0.85, 2 / 3
# Of a camera that was never seen to stand: what is ahead of a vehicle, and its traffic, look much like a crowd.
_AT_FIRST_DOUBTFUL, _AT_FIRST_MOST_AGAINST = 1.05, 0.75
_MOST_CROSSING = 0.3


@dataclass(frozen=True, slots=True)
class Motion:
    """What the witness says now.

    Attributes:
        state: ``moving``, ``still`` or ``cannot-tell``.
        resting: share of the corners followed that stayed where they were, 0 to 1; mean.
        coherent: share of them that move as one, 0 to 1; mean.
        moved_px: how far the picture's corners go under that motion from one sample to the next, in pixels of a picture
            160 wide; in three quarters of the comparisons at least so far.
        against: share of the parts of the picture that look as they did, and not as that motion would have it.
        crossing: share of the corners that go to a side against the rest.
        followed: how many corners were; mean.
        seconds: how much of the feed was weighed.
    """

    state: State
    resting: float = 0.0
    coherent: float = 0.0
    moved_px: float = 0.0
    against: float = 0.0
    crossing: float = 0.0
    followed: float = 0.0
    seconds: float = 0.0

    @property
    def confidence(self) -> float:
        """How much of the picture supports the state, 0 to 1; 0 where the witness cannot tell."""
        if self.state == "moving":
            return round(1.0 - self.resting, 2)
        return round(self.resting, 2) if self.state == "still" else 0.0

    @property
    def evidence(self) -> str:
        """The measurements in words."""
        if self.followed < FEWEST:
            return f"too little structure in the picture after {self.seconds:.1f} s"
        return (
            f"over {self.seconds:.1f} s {self.resting:.0%} of {self.followed:.0f} corners stayed where they were from "
            f"one sample to the next; the picture as a whole moved by {self.moved_px / 1.6:.2f} % of its width or more "
            f"at a time ({self.coherent:.0%} of its corners agree)"
        )


class MotionWitness:
    """Watches one feed. Hand it a thumbnail about five times a second; ask `motion` whenever you like.

    Args:
        presets: the camera can pan, tilt and zoom, so that motion counts only once it outlasts `PRESET_S`.

    Not safe for two threads at once.
    """

    def __init__(self, *, presets: bool = False) -> None:
        self._presets = presets
        self._last: Thumbnail | None = None
        self._window: deque[Pair] = deque(maxlen=WINDOW)
        self._times: deque[float] = deque(maxlen=WINDOW + 1)
        self._place = Place()
        self._still_s = 0.0
        self._moving_s = 0.0
        self.motion = Motion("cannot-tell")

    def see(self, thumbnail: Thumbnail, at_s: float) -> Motion:
        """Takes the next thumbnail, of the instant `at_s` in seconds of any clock, and gives the state now."""
        gap_s = at_s - self._times[-1] if self._times else 0.0
        if self._times and not 0.0 < gap_s <= LONGEST_GAP_S:
            self._forget()
        self._times.append(at_s)
        if self._last is not None:
            self._window.append(compared(self._last, thumbnail))
        self._last = thumbnail
        if len(self._window) == WINDOW:
            self.motion = self._settled(_weigh(self._window, at_s - self._times[0]), thumbnail, gap_s)
        return self.motion

    def _forget(self) -> None:
        self._last = None
        self._window.clear()
        self._times.clear()
        self._moving_s = 0.0
        self.motion = Motion("cannot-tell")

    def _settled(self, now: Motion, thumbnail: Thumbnail, gap_s: float) -> Motion:
        """The window's word against what was known of this camera before."""
        if now.state == "moving" and _crowded(now, stood=self._still_s > 0):
            now = replace(now, state="cannot-tell")
        if now.state == "still":
            self._still_s += gap_s
            self._place.remember(thumbnail, self._window[-1].resting)
        if now.state != "moving":
            self._moving_s = 0.0
            return now
        if self._place.is_in(thumbnail):
            # Not from the start again: a camera in a hand comes by where it was.
            self._moving_s = max(0.0, self._moving_s - gap_s)
            return replace(now, state="cannot-tell")
        self._moving_s = self._moving_s + gap_s if self._moving_s else now.seconds
        return now if self._moving_s >= self._needed_s(now) else replace(now, state="cannot-tell")

    def _needed_s(self, now: Motion) -> float:
        """How long motion such as this must last to be believed."""
        if self._presets:
            return PRESET_S
        if self._still_s >= ESTABLISHED_S:
            return OUTLIVES_S
        if not self._still_s:
            return 0.0
        return GLIMPSED_S if _doubt(now) < _CLEAR else DOUBTED_S


def _weigh(pairs: Sequence[Pair], seconds: float) -> Motion:
    told = [pair for pair in pairs if pair.followed >= FEWEST]
    if len(told) < _LEAST_TOLD:
        return Motion("cannot-tell", seconds=seconds)
    found = Motion(
        "cannot-tell",
        resting=fmean(pair.resting for pair in told),
        coherent=fmean(pair.coherent for pair in told),
        against=sum(pair.stayed for pair in told) / max(1, sum(pair.stayed + pair.went for pair in told)),
        crossing=sum(pair.crossing for pair in told) / max(1, sum(pair.sideways for pair in told)),
        moved_px=sorted(pair.moved_px for pair in told)[len(told) // 4],
        followed=fmean(pair.followed for pair in told),
        seconds=seconds,
    )
    return replace(found, state=_state(found))


def _crowded(found: Motion, *, stood: bool) -> bool:
    """Whether what looks like motion may be a crowd; more is asked for where the camera was seen to stand."""
    most_against, doubtful = (_MOST_AGAINST, _DOUBTFUL) if stood else (_AT_FIRST_MOST_AGAINST, _AT_FIRST_DOUBTFUL)
    return found.crossing >= _MOST_CROSSING or found.against >= most_against or _doubt(found) >= doubtful


def _doubt(found: Motion) -> float:
    """How much speaks for a crowd, and against one camera that moves."""
    return found.against + 2 * found.crossing + 2 * found.resting


def _state(found: Motion) -> State:
    if found.resting < _RESTLESS:
        return "moving" if found.coherent >= _COHERENT else "cannot-tell"
    if found.resting < _LITTLE_AT_REST and found.moved_px >= _MOVED_PX and found.coherent >= _MORE_COHERENT:
        return "moving"  # what lies straight ahead of a vehicle rests, too
    # Nearly all of it moves, and hardly: the cabin of a vehicle, a mast in a storm.
    shaken = found.resting < _MUCH_AT_REST and found.moved_px < _SHAKEN_PX
    return "cannot-tell" if shaken else "still"
