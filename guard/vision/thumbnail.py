"""A small grey copy of a frame, for whoever watches a feed rather than a picture."""

from __future__ import annotations

from typing import Any

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

__all__ = ["HEIGHT", "WIDTH", "Thumbnail", "green", "thumbnail"]

WIDTH, HEIGHT = 160, 90

#: uint8, HEIGHT x WIDTH.
Thumbnail = npt.NDArray[np.uint8]

_READ = 3
"""Pixels read per pixel of the thumbnail and axis: averaging nine keeps the sensor's noise down, and reading all of a
1080p frame instead takes fourteen times as long."""


def green(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The picture in grey, H x W: a view of its green channel, or of the only one."""
    return image if image.ndim == 2 else image[:, :, min(1, image.shape[2] - 1)]


def thumbnail(image: npt.NDArray[Any]) -> Thumbnail:
    """`HEIGHT` x `WIDTH` uint8 of a uint8 picture (H x W, or H x W x 1, 3 or 4), stretched to fill; a new array.

    Grey is the green channel. A picture that is higher than wide is laid on its side, so that the long side stays long.
    """
    height, width = image.shape[:2]
    long, short = max(width, height), min(width, height)
    step = max(1, min(long // (WIDTH * _READ), short // (HEIGHT * _READ)))
    plane = green(image)[::step, ::step]
    if height > width:
        plane = plane.T
    small = cv2.resize(np.ascontiguousarray(plane), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
