"""What moved between two thumbnails: the measurements that the witness weighs.

Corners are followed from one thumbnail to the next and back again (Lucas and Kanade's method, pyramids after Bouguet).
One that does not come back to where it began was lost (Kalal and others, 2010), and so was one that does not look as
before: in the dark every corner is noise, and noise never does. Of those that were followed, how many *rest*, and how
far does the one motion go that most of them share? What speaks against that motion is counted, too: parts of the
picture that look as they did before and not as it would have them, and corners that go where no camera sees them go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.vision.thumbnail import HEIGHT, WIDTH, Thumbnail

__all__ = ["FEWEST", "TILES", "Pair", "compared", "in_view"]

Points = npt.NDArray[np.float32]

FEWEST = 4
"""Corners followed, below which a comparison says nothing."""
REST_PX = 0.2
"""A shift of 0.13 % of the picture's width between two samples: a mast in the wind and a codec do nearly as much."""

_MOST, _APART_PX, _QUALITY = 45, 7, 0.01
_RETURN_PX = 0.3
_UNLIKE = 0.4
"""Mean difference of a corner from what was found, as a share of its contrast: noise is found again at 0.43 to 1."""
_INLIER_PX = 0.5
_PATCH = (9, 9)
_FOLLOW: Final[dict[str, Any]] = {
    "winSize": _PATCH,
    "maxLevel": 2,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03),
}
_EDGES = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]], np.float32)

TILES = (16, 7)
"""Of the picture in view, across and down."""
_MUCH_RESTS = 0.3
_CLEARLY = 1.3
_ASIDE_PX = 2 * REST_PX

_BURNT_IN = 10
# Clocks are burnt into the top and the bottom of a picture, a bonnet fills the bottom: these travel with the camera.
_IN_VIEW = np.zeros((HEIGHT, WIDTH), np.uint8)
_IN_VIEW[_BURNT_IN:-_BURNT_IN] = 255


@dataclass(frozen=True, slots=True)
class Pair:
    """What changed from one thumbnail to the next.

    Attributes:
        followed: how many corners were.
        resting: share of them that went less than `REST_PX`; 0 where fewer than `FEWEST` were followed.
        coherent: share of them whose motion fits one motion of the whole picture (shift, turn, zoom).
        moved_px: how far the picture's corners go under it, root mean square, in thumbnail pixels.
        stayed, went: how many of `TILES` look more as they did, and how many as that motion would have it.
        sideways, crossing: how many corners go to the left or to the right, and how many of them against the rest.
            These four are 0 where so much rests that nobody would call it motion.
    """

    followed: int
    resting: float = 0.0
    coherent: float = 0.0
    moved_px: float = 0.0
    stayed: int = 0
    went: int = 0
    sideways: int = 0
    crossing: int = 0


def in_view(thumbnail: Thumbnail) -> Thumbnail:
    """What of it shows what is before the camera."""
    return thumbnail[_BURNT_IN:-_BURNT_IN]


def compared(before: Thumbnail, after: Thumbnail) -> Pair:
    """What changed from one thumbnail to another."""
    began, went = _followed(before, after)
    if len(began) < FEWEST:
        return Pair(len(began))
    resting = float((np.hypot(*(went - began).T) < REST_PX).mean())
    found, fits = cv2.estimateAffinePartial2D(began, went, ransacReprojThreshold=_INLIER_PX, refineIters=0)
    if not np.any(fits):
        return Pair(len(began), resting)
    model = np.asarray(found)
    shift = _EDGES @ (model[:, :2].T - np.eye(2)) + model[:, 2]
    moved_px = float(np.sqrt(np.square(shift).sum(1).mean()))
    against = (*_tiles(before, after, model), *_crossing(began, went)) if resting < _MUCH_RESTS else ()
    return Pair(len(began), resting, float(fits.mean()), moved_px, *against)


def _crossing(began: Points, went: Points) -> tuple[int, int]:
    """How many corners go to the left or to the right, and how many of them no camera would see go there.

    One that turns or goes aside sees them all go one way; one that goes ahead sees those left of some place go left,
    and those right of it right. People go both ways anywhere.
    """
    aside = went[:, 0] - began[:, 0]
    moves = np.abs(aside) > _ASIDE_PX
    right = aside[moves][np.argsort(began[moves, 0])] > 0
    lefts = int(np.count_nonzero(~right))
    best = int(np.cumsum(np.where(right, 1, -1)).min(initial=0))
    return len(right), lefts + best


def _tiles(before: Thumbnail, after: Thumbnail, model: npt.NDArray[Any]) -> tuple[int, int]:
    """How many tiles look more as they did, and how many as the motion would have it."""
    moved = cv2.warpAffine(before, model, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    as_was, as_moved = _differ(before, after), _differ(moved, after)
    return (
        int(np.count_nonzero(as_moved > _CLEARLY * as_was + 1.0)),
        int(np.count_nonzero(as_was > _CLEARLY * as_moved + 1.0)),
    )


def _differ(one: Any, other: Thumbnail) -> npt.NDArray[np.float32]:
    """By how many grey levels they differ in the mean, per tile."""
    apart = in_view(np.asarray(cv2.absdiff(one, other), np.uint8)).astype(np.float32)
    return np.asarray(cv2.resize(apart, TILES, interpolation=cv2.INTER_AREA))


def _followed(before: Thumbnail, after: Thumbnail) -> tuple[Points, Points]:
    """Where the corners that can be followed were and where they are: twice N x 2, x and y in thumbnail pixels."""
    found: Any = cv2.goodFeaturesToTrack(before, _MOST, _QUALITY, _APART_PX, mask=_IN_VIEW)
    if found is None or len(found) < FEWEST:
        none = np.empty((0, 2), np.float32)
        return none, none
    began = np.asarray(found, np.float32).reshape(-1, 2)
    went, there, unlike = cv2.calcOpticalFlowPyrLK(before, after, began, None, **_FOLLOW)  # type: ignore[call-overload]
    back, here, _ = cv2.calcOpticalFlowPyrLK(after, before, went, None, **_FOLLOW)  # type: ignore[call-overload]
    kept = (there[:, 0] > 0) & (here[:, 0] > 0) & (np.abs(back - began).max(1) < _RETURN_PX)
    kept &= unlike[:, 0] < _UNLIKE * _contrast(before, began)
    return began[kept], went[kept]


def _contrast(thumbnail: Thumbnail, places: Points) -> npt.NDArray[np.float32]:
    """The standard deviation of the patch around each place, in grey levels."""
    mean = cv2.boxFilter(thumbnail, cv2.CV_32F, _PATCH)
    variance = cv2.sqrBoxFilter(thumbnail, cv2.CV_32F, _PATCH) - mean * mean
    columns, rows = places.astype(np.intp).T
    return np.asarray(np.sqrt(np.maximum(variance[rows, columns], 0.0)), np.float32)
