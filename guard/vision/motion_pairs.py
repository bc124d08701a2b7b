"""What moved between two thumbnails, as a whole and block by block: the measurements that the witness weighs.

A block *stood still* if what changed in it is less than a shift of `STILL_PX` would change, after its brightness and
contrast were evened out: light may change, a shadowless cloud pass, an exposure adapt. A block counts only where it has
structure in both directions, more than noise and compression leave: a bare wall looks the same from a moving camera.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.vision.thumbnail import HEIGHT, WIDTH, Thumbnail

__all__ = ["COLUMNS", "ROWS", "Pair", "Pairs"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BLOCK = 10
ROWS, COLUMNS = HEIGHT // BLOCK, WIDTH // BLOCK

STILL_PX = 0.35
"""A shift of 0.2 % of the picture's width between two samples: a mast in the wind and a video codec do as much."""

_BLUR = 0.8
_GRAIN_TO_CHANGE = 0.39
"""White noise of variance 1 leaves 0.63 above this blur and 2 * 0.124 in the difference of two blurred pictures."""

_LEAST_STRUCTURE = 0.6
_MOST_NOISE = 1.5
_NOISE_KEPT = 28

_MOST_CORNERS, _FEWEST_CORNERS, _CORNERS_APART_PX = 45, 8, 7
_INLIER_PX = 0.5
_FOLLOW: Final[dict[str, Any]] = {
    "winSize": (9, 9),
    "maxLevel": 2,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03),
}
_CLEAR = 1.0
_EDGES = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]], np.float32)

_AREA = float(BLOCK * BLOCK)
# Clocks are burnt into the top and the bottom of a picture, a bonnet fills the bottom: these travel with the camera.
_IN_VIEW = np.zeros((ROWS, COLUMNS), np.bool_)
_IN_VIEW[1:-1] = True


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A thumbnail, and what every comparison with it needs: its smoothed copy, and of each block the mean, the variance
    and what the smoothing took away."""

    thumbnail: Thumbnail
    smooth: Floats
    mean: Floats
    variance: Floats
    grain: Floats

    @classmethod
    def of(cls, thumbnail: Thumbnail) -> Prepared:
        """Of any thumbnail."""
        raw = thumbnail.astype(np.float32)
        smooth = np.asarray(cv2.GaussianBlur(raw, (0, 0), _BLUR), np.float32)
        mean = _means(smooth)
        return cls(thumbnail, smooth, mean, _means(smooth * smooth) - mean * mean, _means(np.square(raw - smooth)))


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What changed from one thumbnail to the next.

    Attributes:
        structured: blocks (ROWS x COLUMNS) in which a shift would show.
        still: those of them that stood still.
        noise: variance of what changes where nothing moves, in grey levels squared.
        coherent: share of the corners followed whose motion fits one motion of the whole picture (shift, turn, zoom).
        moved_px: how far the picture's corners go under it, root mean square, in thumbnail pixels; NaN where there was
            too little to follow.
    """

    structured: Mask
    still: Mask
    noise: float
    coherent: float
    moved_px: float


class Pairs:
    """Compares the newest thumbnail of a feed with those before it.

    A block stood still if it did since the last thumbnail, or if the median of the last three is that of the three
    before: rain, and whoever hurries past, are not in the median.
    """

    def __init__(self) -> None:
        self._last: deque[Prepared] = deque(maxlen=2)
        self._medians: deque[Prepared] = deque(maxlen=3)
        self._noise: deque[float] = deque(maxlen=_NOISE_KEPT)

    def clear(self) -> None:
        """Forgets the feed."""
        for each in (self._last, self._medians, self._noise):
            each.clear()

    def next(self, thumbnail: Thumbnail) -> Pair | None:
        """The newest thumbnail against those before; None while there are fewer than six."""
        now = Prepared.of(thumbnail)
        pair = None
        if len(self._last) == 2:
            median = Prepared.of(_median(self._last[0].thumbnail, self._last[1].thumbnail, thumbnail))
            if len(self._medians) == 3:
                pair = self._compare(now, median)
            self._medians.append(median)
        self._last.append(now)
        return pair

    def _compare(self, now: Prepared, median: Prepared) -> Pair:
        before = self._last[-1]
        energy, weakest = _structure(now.smooth)
        lately, sustained = _changed(before, now), _changed(self._medians[0], median)
        noise = min(_noise(sustained, now.grain, energy), min(self._noise, default=_MOST_NOISE))
        self._noise.append(noise)
        structured = _IN_VIEW & (weakest > max(_LEAST_STRUCTURE, 2 * noise / STILL_PX**2))
        still = structured & (np.minimum(lately, sustained) < 1.5 * noise + STILL_PX**2 * energy / 2)
        coherent, moved_px = _one_motion(before, now)
        return Pair(structured, still, noise, coherent, moved_px)


def _median(first: Thumbnail, second: Thumbnail, third: Thumbnail) -> Thumbnail:
    low, high = cv2.min(first, second), cv2.max(first, second)
    return np.asarray(cv2.max(low, cv2.min(high, third)), np.uint8)


def _changed(before: Prepared, after: Prepared) -> Floats:
    """Of each block: the variance of what changed in it, a new brightness and contrast left aside."""
    covariance = _means(before.smooth * after.smooth) - before.mean * after.mean
    gain = np.clip(covariance / (before.variance + 1e-3), 0.5, 2.0)
    changed = after.variance - gain * (2 * covariance - gain * before.variance)
    return np.asarray(np.maximum(changed, 0.0), np.float32)


def _noise(changed: Floats, grain: Floats, energy: Floats) -> float:
    """What noise alone changes, from the quarter of the blocks with least structure: there motion changes least, and
    what is grainy is noise. Where the camera moves the grain tells, where nothing does the change."""
    quarter = np.argpartition(energy, energy.size // 4, axis=None)[: energy.size // 4]
    low = len(quarter) // 4
    found = min(float(np.partition(each.ravel()[quarter], low)[low]) for each in (changed, _GRAIN_TO_CHANGE * grain))
    return min(1.2 * found, _MOST_NOISE)


def _structure(smooth: Floats) -> tuple[Floats, Floats]:
    """Of each block: the sum and the lesser of the two eigenvalues of its structure tensor."""
    across, down = _slopes(smooth)
    mean_across, mean_down = _means(across), _means(down)
    xx = _means(across * across) - mean_across * mean_across
    yy = _means(down * down) - mean_down * mean_down
    xy = _means(across * down) - mean_across * mean_down
    energy = xx + yy
    weakest = energy / 2 - np.sqrt((xx - yy) ** 2 / 4 + xy * xy)
    return energy, weakest


def _slopes(smooth: Floats) -> tuple[Floats, Floats]:
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def _one_motion(before: Prepared, after: Prepared) -> tuple[float, float]:
    """Corners followed by Lucas and Kanade's method, and the one shift, turn and zoom that most of them agree on: the
    share that does, and how far the corners of the picture go under it. (0, NaN) where there is too little to follow.
    """
    found: Any = cv2.goodFeaturesToTrack(before.thumbnail, _MOST_CORNERS, 0.01, _CORNERS_APART_PX)
    if found is None:
        return 0.0, np.nan
    places = np.asarray(found, np.float32).reshape(-1, 2)
    blocks = (places // BLOCK).astype(np.intp)
    # In the dark every corner is noise, and noise moves: more of the block must stand out than its grain.
    clear = (before.variance > _CLEAR * before.grain)[blocks[:, 1], blocks[:, 0]]
    places = places[clear & _IN_VIEW[blocks[:, 1], blocks[:, 0]]]
    if len(places) < _FEWEST_CORNERS:
        return 0.0, np.nan
    followed, status, _ = cv2.calcOpticalFlowPyrLK(before.thumbnail, after.thumbnail, places, None, **_FOLLOW)  # type: ignore[call-overload]
    kept = status[:, 0] > 0
    if kept.sum() < _FEWEST_CORNERS:
        return 0.0, np.nan
    model, fits = cv2.estimateAffinePartial2D(places[kept], followed[kept], ransacReprojThreshold=_INLIER_PX)
    if not np.any(fits):
        return 0.0, np.nan
    moved = _EDGES @ (np.asarray(model)[:, :2].T - np.eye(2)) + np.asarray(model)[:, 2]
    return float(fits.sum() / len(places)), float(np.sqrt(np.square(moved).sum(1).mean()))


def _means(values: Floats) -> Floats:
    """The mean of each block: ROWS x COLUMNS, and as many channels as there are."""
    return np.asarray(cv2.resize(values, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.float32)
