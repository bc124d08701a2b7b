"""Where a fixed camera's picture changed: tiles of a small grey picture against what they were when last looked at.

A tile is as wide as the smallest face that matters and is judged by 64 samples of it. Each keeps its own reference, so
that what changes slowly adds up until it shows.
"""

from __future__ import annotations

from typing import Any

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.vision.thumbnail import green

__all__ = ["ChangeMap", "Mask"]

Mask = npt.NDArray[np.bool_]

SAMPLES = 8
"""Samples of a tile along each axis."""
_LEAST = 1.5
"""Grey levels by which a tile must differ in the mean where there is no noise."""
_ABOVE_NOISE = 1.5
"""How far above the noise, which is the median of all tiles."""
_MOST_NOISE = 6.0
"""Grey levels: where more than this changes in most of the picture, it is not noise."""


class ChangeMap:
    """The tiles of one feed.

    Args:
        size: width and height of its pictures in pixels.
        min_face_px: smallest face width that matters, in pixels.

    Attributes:
        tile_px: width and height of a tile in pixels; those at the right and the bottom may be cut.
    """

    def __init__(self, size: tuple[int, int], min_face_px: int) -> None:
        self._size = size
        self._step = max(1, min_face_px // SAMPLES)
        self.tile_px = self._step * SAMPLES
        width, height = (-(-side // self._step) for side in size)
        self._rows, self._columns = -(-height // SAMPLES), -(-width // SAMPLES)
        buffer = (self._rows * SAMPLES, self._columns * SAMPLES)
        self._now = np.zeros(buffer, np.uint8)
        self._reference = np.zeros(buffer, np.uint8)
        self._difference = np.zeros(buffer, np.uint8)
        self._filled = self._now[:height, :width]
        # Of a tile that the picture's edge cuts only a part can change.
        self._weights = np.outer(_cut(height, self._rows), _cut(width, self._columns))

    def take(self, image: npt.NDArray[Any]) -> Mask:
        """The tiles, rows x columns, in which `image` (uint8, of the map's size) differs from their references."""
        np.copyto(self._filled, green(image)[:: self._step, :: self._step])
        cv2.absdiff(self._now, self._reference, dst=self._difference)
        size = (self._columns, self._rows)
        means = np.asarray(cv2.resize(self._difference, size, interpolation=cv2.INTER_AREA), np.uint8)
        middle = means.size // 2
        noise = min(float(np.partition(means, middle, axis=None)[middle]), _MOST_NOISE)
        return np.asarray(means * self._weights > _ABOVE_NOISE * noise + _LEAST)

    def settle(self, left: int, top: int, right: int, bottom: int) -> None:
        """The part of the picture taken last within these pixels was looked at: it is the reference of its tiles, those
        that lie in it wholly."""
        width, height = self._size
        part = self._samples(top, bottom, height), self._samples(left, right, width)
        self._reference[part] = self._now[part]

    def _samples(self, low: int, high: int, limit: int) -> slice:
        """Along one axis: the samples of the tiles that lie wholly between `low` and `high`."""
        end = None if high >= limit else high // self.tile_px * SAMPLES
        return slice(-(-low // self.tile_px) * SAMPLES, end)


def _cut(samples: int, tiles: int) -> npt.NDArray[np.float32]:
    """Of each tile along one axis: by how much its mean is too small, for lack of samples."""
    present = np.full(tiles, SAMPLES, np.float32)
    present[-1] -= tiles * SAMPLES - samples
    return np.asarray(SAMPLES / present, np.float32)
