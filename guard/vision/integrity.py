"""Whether a feed shows what is before the camera now: pictures with nothing in them, broken, frozen or repeated ones.

A frame that fails here cannot be judged, which is not "no faces". All tests look at thumbnails. What they cannot see: a
repetition that was encoded anew, damage smaller than a quarter of the picture, a picture of a screen.
"""

from __future__ import annotations

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.vision.thumbnail import HEIGHT, Thumbnail

__all__ = ["FROZEN_S", "FeedIntegrity", "unfit"]

FROZEN_S = 10.0
"""How long a feed may give the same picture, bit for bit. A sensor's noise alone changes it; a codec that sends only
changes may repeat one until its next key frame, a few seconds later."""

_ONE_COLOUR = 0.98
_DAMAGED = 0.25
_MISSING_GREYS = (127, 130)
"""Luma 128, which decoders leave where nothing came, as full-range and as video-range pixels."""
_TEXTURED = 4.0

_SHORTEST_LOOP_S = 2.0
_REPEATS = 8
_SAME_LAG_S = 0.25
_REMEMBERED = 20_000
"""Thumbnails of an hour and a little more, at five a second."""


def unfit(thumbnail: Thumbnail) -> str | None:
    """Why nothing can be seen in this one picture, None where something can.

    A picture of one colour (black, grey, white; a burnt-in clock does not count), and one of which a quarter or more is
    the grey of missing data or one row smeared downwards, as decoders leave them.
    """
    counts = cv2.calcHist([thumbnail], [0], None, [256], [0, 256]).ravel()
    commonest = int(np.argmax(np.convolve(counts, np.ones(5, np.float32), "same")))
    share = counts[max(0, commonest - 2) : commonest + 3].sum() / thumbnail.size
    if share >= _ONE_COLOUR:
        colour = "black" if commonest < 24 else "white" if commonest > 231 else "of one grey"
        return f"the picture is {colour}"
    if _grey_rows(thumbnail) >= _DAMAGED * HEIGHT:
        return "a quarter of the picture or more is the grey of missing data"
    if _smeared_rows(thumbnail) >= _DAMAGED * HEIGHT:
        return "a quarter of the picture or more is one row repeated"
    return None


def _grey_rows(thumbnail: Thumbnail) -> int:
    """How many rows up from the bottom hold nothing but the grey of missing data."""
    if _is_missing(thumbnail[-1:])[0]:
        return _run_from_bottom(_is_missing(thumbnail))
    return 0


def _is_missing(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    grey = (rows >= _MISSING_GREYS[0]) & (rows <= _MISSING_GREYS[1])
    return np.asarray(grey.mean(axis=1) >= _ONE_COLOUR)


def _smeared_rows(thumbnail: Thumbnail) -> int:
    """How many rows up from the bottom repeat a row with something in it, below a part in which hardly any do."""
    if (thumbnail[-1] != thumbnail[-2]).any():
        return 0
    same = (thumbnail[1:] == thumbnail[:-1]).all(axis=1)
    rows = _run_from_bottom(same)
    if rows in (0, len(same)) or thumbnail[-1].std() <= _TEXTURED:
        return 0
    return rows if same[:-rows].mean() < _DAMAGED else 0


def _run_from_bottom(rows: npt.NDArray[np.bool_]) -> int:
    return len(rows) if rows.all() else int(np.argmin(rows[::-1]))


class FeedIntegrity:
    """Watches one feed for pictures that come again.

    Args:
        frozen_s: how long it may give the same picture.
    """

    def __init__(self, *, frozen_s: float = FROZEN_S) -> None:
        self._frozen_s = frozen_s
        self._last: bytes | None = None
        self._since_s = 0.0
        self._seen = _Sightings()
        self._lags: list[tuple[float, float]] = []
        self._repeats: tuple[float, float] | None = None

    def see(self, thumbnail: Thumbnail, at_s: float) -> str | None:
        """Takes the next thumbnail, of the instant `at_s` of any clock; why the feed cannot be trusted, or None."""
        data = thumbnail.tobytes()
        if data == self._last:
            lasted_s = at_s - self._since_s
            return f"the feed is frozen: the same picture for {lasted_s:.0f} s" if lasted_s >= self._frozen_s else None
        self._last, self._since_s = data, at_s
        return self._repeated(hash(data), at_s)

    def _repeated(self, key: int, at_s: float) -> str | None:
        """Pictures of earlier come again, in the same order and at the same pace: one by itself may be chance."""
        before = self._seen.swap(key, at_s)
        lag_s = 0.0 if before is None else at_s - before
        if lag_s >= _SHORTEST_LOOP_S:
            self._lags.append((at_s, lag_s))
        # As long as a repetition lasts, something of it comes again in every turn.
        self._lags = [each for each in self._lags if at_s - each[0] <= max(_SHORTEST_LOOP_S, each[1])]
        if self._lags:
            newest = self._lags[-1][1]
            if sum(abs(lag - newest) <= _SAME_LAG_S for _, lag in self._lags) >= _REPEATS:
                self._repeats = (at_s, newest)
        if self._repeats is None:
            return None
        found_s, every_s = self._repeats
        # Not every turn catches the same pictures: a loop is over once a whole turn and more brought none of them.
        if not 0 <= at_s - found_s <= 2 * every_s:
            self._repeats = None
            return None
        return f"the feed repeats what it showed {every_s:.0f} s before"


class _Sightings:
    """When pictures were last seen: the latest `_REMEMBERED`, in a third of a megabyte a feed."""

    def __init__(self) -> None:
        self._keys = np.zeros(_REMEMBERED, np.int64)  # 0 where there is none
        self._at_s = np.zeros(_REMEMBERED)
        self._next = 0

    def swap(self, key: int, at_s: float) -> float | None:
        """When `key` was seen before, None where it was not or that is forgotten; from now on it is `at_s`."""
        key = key or 1
        known = np.flatnonzero(self._keys == key)
        before = float(self._at_s[known[0]]) if len(known) else None
        self._keys[known] = 0
        self._keys[self._next], self._at_s[self._next] = key, at_s
        self._next = (self._next + 1) % _REMEMBERED
        return before
