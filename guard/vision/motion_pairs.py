"""What moved between two thumbnails, block by block: the measurements that the camera-motion witness weighs.

A block *stood still* if what changed in it is less than a shift of `STILL_PX` would change, after its brightness and
contrast were evened out: light may change, a shadowless cloud pass, an exposure adapt. A block counts only where it has
structure in both directions, more than noise and compression leave: a bare wall looks the same from a moving camera.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

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
_INLIER_PX = 0.6
_LEAST_BLOCKS = 8

_AREA = float(BLOCK * BLOCK)
_CENTRES = np.stack(
    np.meshgrid(
        np.arange(COLUMNS, dtype=np.float32) * BLOCK + (BLOCK - 1) / 2,
        np.arange(ROWS, dtype=np.float32) * BLOCK + (BLOCK - 1) / 2,
    ),
    axis=-1,
)

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
        coherent: share of the structured blocks whose motion fits one motion of the whole picture (shift, turn, zoom,
            shear), 0 to 1.
        moved_px: how far these blocks went, root mean square, in thumbnail pixels.
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
        coherent, moved_px = _one_motion(before.thumbnail, now.thumbnail, structured)
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
    found = min(float(np.percentile(each.ravel()[quarter], 25)) for each in (changed, _GRAIN_TO_CHANGE * grain))
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


def _one_motion(before: Thumbnail, after: Thumbnail, structured: Mask) -> tuple[float, float]:
    places = _CENTRES[structured]
    if len(places) < _LEAST_BLOCKS:
        return 0.0, 0.0
    moved = _means(_flow(before, after))[structured]
    _, fits = cv2.estimateAffine2D(places, places + moved, ransacReprojThreshold=_INLIER_PX, maxIters=200)
    if not np.any(fits):
        return 0.0, 0.0
    chosen = moved[fits[:, 0] > 0]
    return len(chosen) / len(places), float(np.sqrt(np.square(chosen).sum(1).mean()))


def _flow(before: Thumbnail, after: Thumbnail) -> Floats:
    # One for each call: it is not safe for two threads at once, and cheap to make.
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    return np.asarray(flow.calc(before, after, None), np.float32)


def _means(values: Floats) -> Floats:
    """The mean of each block: ROWS x COLUMNS, and as many channels as there are."""
    return np.asarray(cv2.resize(values, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.float32)
