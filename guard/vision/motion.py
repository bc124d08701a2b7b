"""The camera-motion witness: is the camera itself moving, or does it stand still?

It looks for the background, not for motion. In front of a fixed camera people and traffic come and go, but most blocks
of the picture are still most of the time, and all over it. A moving camera leaves none, save what travels with it: a
bonnet, a burnt-in clock, the vanishing point. And what it sees moves as one. Where neither is clear (the dark, a bare
wall, a crowd that fills the picture, the cabin of a car) the witness cannot tell, and says so.
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
_LEAST_BACKGROUND_STILL, _LEAST_SPREAD_STILL, _MOST_RESTLESS_STILL = 0.15, 0.35, 0.6
_AMPLE_BACKGROUND, _AMPLE_SPREAD = 0.25, 0.4
_LEAST_RESTLESS_MOVING, _LEAST_MARGIN_MOVING, _MOST_SPREAD_MOVING, _LEAST_COHERENT = 0.7, 0.57, 0.65, 0.4
_NO_BACKGROUND, _NO_SPREAD, _RESTLESS_WITHOUT, _COHERENT_WITHOUT = 0.05, 0.3, 0.6, 0.3
_LEAST_MOVED_PX = 0.45
_LEAST_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Motion:
    """What the witness says now.

    Attributes:
        state: ``moving``, ``still`` or ``cannot-tell``.
        background: share of the picture's structured blocks that stood still most of the time, 0 to 1.
        restless: share of them that hardly ever did, 0 to 1.
        spread: share of the twelve regions of the picture with structure that hold such a block, 0 to 1.
        coherent: share of the blocks that move as one, 0 to 1, and `moved_px` how far from one sample to the next, in
            pixels of a picture 160 wide; medians.
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
            f"regions, and {self.restless:.0%} hardly ever did; {self.coherent:.0%} moved as one, by "
            f"{self.moved_px / 1.6:.1f} % of the width at a time"
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
    found = Motion(
        "cannot-tell",
        background=float(behind.sum() / blocks),
        restless=float((judged & (still <= _HARDLY)).sum() / blocks),
        spread=float(_regions(behind).sum() / _regions(judged).sum()),
        coherent=float(np.median([pair.coherent for pair in pairs])),
        moved_px=float(np.median([pair.moved_px for pair in pairs])),
        blocks=blocks,
        seconds=seconds,
    )
    if _is_still(found):
        return replace(found, state="still")
    return replace(found, state="moving") if _is_moving(found) else found


def _is_still(found: Motion) -> bool:
    """Background all over the picture; in front of a crowd less of it will do than beside restless blocks."""
    if found.background >= _AMPLE_BACKGROUND and found.spread >= _AMPLE_SPREAD:
        return True
    return (
        found.background >= _LEAST_BACKGROUND_STILL
        and found.spread >= _LEAST_SPREAD_STILL
        and found.restless <= _MOST_RESTLESS_STILL
    )


def _is_moving(found: Motion) -> bool:
    """Nothing stood still; or little did, nearly all was restless, and it moved as one."""
    if found.moved_px < _LEAST_MOVED_PX:
        return False
    if found.background <= _NO_BACKGROUND and found.spread <= _NO_SPREAD:
        return found.restless >= _RESTLESS_WITHOUT and found.coherent >= _COHERENT_WITHOUT
    return (
        found.restless >= _LEAST_RESTLESS_MOVING
        and found.restless - found.background >= _LEAST_MARGIN_MOVING
        and found.spread <= _MOST_SPREAD_MOVING
        and found.coherent >= _LEAST_COHERENT
    )


def _regions(blocks: Mask) -> Mask:
    """Whether each of the picture's 3 x 4 regions holds any of these blocks."""
    return np.asarray(blocks.reshape(3, ROWS // 3, 4, COLUMNS // 4).any((1, 3)))
