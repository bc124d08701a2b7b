"""The camera-motion witness: is the camera itself moving, or does it stand still?

Two kinds of evidence, each weak by itself. *Motion*: corners of the picture are followed from one thumbnail to the
next, and the one motion that most of them share is that of the camera, unless something large passes before it.
*Background*: before a fixed camera people and traffic come and go, but many blocks are still most of the time, and all
over the picture; a moving one leaves none, save what travels with it and what lies straight ahead. Where the two
disagree, or there is too little to see (the dark, a bare wall, a crowd that hides everything), the witness cannot tell,
and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from guard._imports import native

with native("numpy"):
    import numpy as np

from guard.vision.motion_pairs import COLUMNS, ROWS, Mask, Pair, Pairs
from guard.vision.thumbnail import Thumbnail

__all__ = ["Motion", "MotionWitness"]

State = Literal["moving", "still", "cannot-tell"]

WINDOW = 10
"""Comparisons that are weighed together. The first needs six thumbnails: at five a second a verdict takes 3 s."""
FIRST = 5
LONGEST_GAP_S = 2.0
"""Thumbnails further apart than this are not compared."""
ESTABLISHED_S = 10.0
"""A camera that stood still for so long is believed to have stood: something may hide its whole view for a while."""
OUTLIVES_S = 10.0
"""How long motion must last to overrule that. A bus that fills the picture has passed by then."""
PRESET_S = 30.0
"""How long a camera that can pan, tilt and zoom may move at a time."""

_MOSTLY, _HARDLY = 0.6, 0.2
"""A block that stood still in so many of the comparisons is background; one that did in so few is restless."""
_LEAST_BLOCKS, _LEAST_FOLLOWED = 4, 6

# Thresholds of `_is_still` and `_is_moving`; `benchmarks/witness.py` measures what they are worth.
_AT_REST_PX, _NEARLY_AT_REST_PX, _SHAKEN_PX = 0.15, 0.3, 0.8
_SOME_BACKGROUND, _BACKGROUND, _AMPLE_BACKGROUND, _MUCH_BACKGROUND = 0.1, 0.15, 0.25, 0.35
_ALL_RESTLESS, _NEARLY_CALM, _CALM = 0.9, 0.63, 0.6
_LEAST_SPREAD = 0.4
_MOVED_PX, _MOVED_MORE_PX = 0.5, 1.5
_HARDLY_ANY_BACKGROUND, _LITTLE_BACKGROUND = 0.08, 0.22
_LEAST_RESTLESS, _LEAST_MARGIN, _LEAST_COHERENT = 0.55, 0.55, 0.3


@dataclass(frozen=True, slots=True)
class Motion:
    """What the witness says now.

    Attributes:
        state: ``moving``, ``still`` or ``cannot-tell``.
        background: share of the picture's structured blocks that stood still most of the time, 0 to 1.
        restless: share of them that hardly ever did, 0 to 1.
        spread: share of the twelve regions of the picture with structure that hold such a block, 0 to 1.
        coherent: share of the corners that move as one, 0 to 1; median.
        moved_px: how far the picture's corners go under that motion from one sample to the next, in pixels of a picture
            160 wide; median.
        blocks: how many blocks have structure, of those that are looked at.
        seconds: how much of the feed was weighed.
    """

    state: State
    background: float = 0.0
    restless: float = 0.0
    spread: float = 0.0
    coherent: float = 0.0
    moved_px: float = 0.0
    blocks: int = 0
    seconds: float = 0.0

    @property
    def confidence(self) -> float:
        """How much of the picture supports the state, 0 to 1; 0 where the witness cannot tell."""
        if self.state == "moving":
            return round(self.restless, 2)
        return round(1.0 - self.restless, 2) if self.state == "still" else 0.0

    @property
    def evidence(self) -> str:
        """The measurements in words."""
        if self.blocks < _LEAST_BLOCKS:
            return f"too little structure in the picture after {self.seconds:.1f} s"
        return (
            f"over {self.seconds:.1f} s {self.background:.0%} of the picture stood still, in {self.spread:.0%} of its "
            f"regions, and {self.restless:.0%} hardly ever did; the picture as a whole moved by "
            f"{self.moved_px / 1.6:.2f} % of its width at a time ({self.coherent:.0%} of its corners agree)"
        )


class MotionWitness:
    """Watches one feed. Hand it a thumbnail about five times a second; ask `motion` whenever you like.

    Args:
        presets: the camera can pan, tilt and zoom, so that motion counts only once it outlasts `PRESET_S`.

    Not safe for two threads at once.
    """

    def __init__(self, *, presets: bool = False) -> None:
        self._presets = presets
        self._pairs = Pairs()
        self._window: deque[Pair] = deque(maxlen=WINDOW)
        self._times: deque[float] = deque(maxlen=WINDOW + FIRST)
        self._still_s = 0.0
        self._moving_s = 0.0
        self.motion = Motion("cannot-tell")

    def see(self, thumbnail: Thumbnail, at_s: float) -> Motion:
        """Takes the next thumbnail, of the instant `at_s` in seconds of any clock, and gives the state now."""
        gap_s = at_s - self._times[-1] if self._times else 0.0
        if self._times and not 0.0 < gap_s <= LONGEST_GAP_S:
            self._forget()
        self._times.append(at_s)
        pair = self._pairs.next(thumbnail)
        if pair is not None:
            self._window.append(pair)
        if len(self._window) == WINDOW:
            self.motion = self._settled(_weigh(self._window, at_s - self._times[0]), gap_s)
        return self.motion

    def _forget(self) -> None:
        self._pairs.clear()
        self._window.clear()
        self._times.clear()
        self._moving_s = 0.0
        self.motion = Motion("cannot-tell")

    def _settled(self, now: Motion, gap_s: float) -> Motion:
        """The window's word against what was known of this camera before."""
        if now.state == "moving":
            self._moving_s = self._moving_s + gap_s if self._moving_s else now.seconds
            needed_s = OUTLIVES_S if self._still_s >= ESTABLISHED_S else 0.0
            if self._moving_s < (PRESET_S if self._presets else needed_s):
                return replace(now, state="cannot-tell")
            self._still_s = 0.0
            return now
        self._moving_s = 0.0
        if now.state == "still":
            self._still_s += gap_s
        return now


def _weigh(pairs: Sequence[Pair], seconds: float) -> Motion:
    counted = np.stack([pair.structured for pair in pairs]).sum(0)
    judged = counted >= len(pairs) / 2
    blocks = int(judged.sum())
    if blocks < _LEAST_BLOCKS:
        return Motion("cannot-tell", blocks=blocks, seconds=seconds)
    still = np.stack([pair.still for pair in pairs]).sum(0) / np.maximum(counted, 1)
    behind = judged & (still >= _MOSTLY)
    moved = np.array([pair.moved_px for pair in pairs])
    followed = np.isfinite(moved)
    found = Motion(
        "cannot-tell",
        background=float(behind.sum() / blocks),
        restless=float((judged & (still <= _HARDLY)).sum() / blocks),
        spread=float(_regions(behind).sum() / _regions(judged).sum()),
        coherent=float(np.median([pair.coherent for pair in pairs])),
        moved_px=float(np.median(moved[followed])) if followed.any() else 0.0,
        blocks=blocks,
        seconds=seconds,
    )
    if followed.sum() < _LEAST_FOLLOWED:
        return found
    if _is_still(found):
        return replace(found, state="still")
    return replace(found, state="moving") if _is_moving(found) else found


def _is_still(found: Motion) -> bool:
    """At rest as a whole; or nearly, before a background; or before so much of it that what moves is something else."""
    if found.moved_px <= _AT_REST_PX:
        return found.restless < _ALL_RESTLESS
    if found.moved_px <= _NEARLY_AT_REST_PX and found.background >= _SOME_BACKGROUND:
        return found.background >= _AMPLE_BACKGROUND or found.restless <= _NEARLY_CALM
    if found.moved_px <= _SHAKEN_PX and found.background >= _BACKGROUND:
        return found.background >= _AMPLE_BACKGROUND or found.restless <= _CALM
    return found.background >= _MUCH_BACKGROUND and found.spread >= _LEAST_SPREAD


def _is_moving(found: Motion) -> bool:
    """It moves as a whole, and hardly anything, or little beside what is restless, stands still meanwhile."""
    if found.moved_px >= _MOVED_PX and found.background <= _HARDLY_ANY_BACKGROUND:
        return found.restless >= _LEAST_RESTLESS
    return (
        found.moved_px >= _MOVED_MORE_PX
        and found.background <= _LITTLE_BACKGROUND
        and found.restless - found.background >= _LEAST_MARGIN
        and found.coherent >= _LEAST_COHERENT
    )


def _regions(blocks: Mask) -> Mask:
    """Whether each of the picture's 3 x 4 regions holds any of these blocks."""
    return np.asarray(blocks.reshape(3, ROWS // 3, 4, COLUMNS // 4).any((1, 3)))
