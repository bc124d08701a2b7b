"""Which parts of a picture to look at again where some of its tiles changed.

Parts have one of a few sizes, so that the network's buffers for them are made once. Each has a rim in which a face may
be cut in two: what changed lies within the rim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.vision.changes import Mask
from guard.vision.scaling import FACE_PX

__all__ = ["Region", "regions", "touched"]

Boxes = npt.NDArray[np.float32]

_SIDES = tuple(side * 2**power for power in range(5, 11) for side in (4, 5, 6, 7))
"""Sides of a part in pixels of the network's input: 128, 160, 192, 224, 256, 320, ..."""
_RIM_TILES = 1
_GROWN = 0.25
"""How much wider than a known face its surroundings are, in widths of the face on each side."""
_MOST_PARTS = 3
_MOST_OF_PICTURE = 0.5
"""Where the parts together are larger, the whole picture is looked at instead."""


@dataclass(frozen=True, slots=True)
class Region:
    """One part in pixels of the picture, and the part of it in which no face is cut: left, top, right, bottom."""

    part: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]


def touched(boxes: Boxes, changed: Mask, tile_px: int) -> Mask:
    """Which of the boxes (N x 4 xyxy in pixels) cover any of the changed tiles."""
    return np.array([bool(changed[_tiles(box, tile_px, 0.0)].any()) for box in boxes], np.bool_)


def regions(
    changed: Mask, boxes: Boxes, size: tuple[int, int], *, tile_px: int, min_face_px: int
) -> list[Region] | None:
    """The parts to look at; None for the whole picture.

    Args:
        changed: the tiles, rows x columns, some of which changed.
        boxes: the known faces that changed, N x 4 xyxy in pixels: each is looked at as a whole.
        size: width and height of the picture in pixels.
        tile_px: width and height of a tile in pixels.
        min_face_px: smallest face width that matters, in pixels.
    """
    grown = changed.copy()
    for box in boxes:
        grown[_tiles(box, tile_px, _GROWN)] = True
    unit = max(1.0, min_face_px / FACE_PX)
    found = [_region(*area, size=size, rim=_RIM_TILES * tile_px, unit=unit) for area in _areas(grown, tile_px)]
    pixels = sum((right - left) * (bottom - top) for left, top, right, bottom in (each.part for each in found))
    return found if pixels <= _MOST_OF_PICTURE * size[0] * size[1] else None


def _tiles(box: Boxes, tile_px: int, grown: float) -> tuple[slice, slice]:
    """The tiles that a box covers, or that it covers grown by so many of its widths and heights on each side."""
    more = grown * (box[2:] - box[:2])
    low = np.maximum((box[:2] - more) // tile_px, 0).astype(int)
    high = -(-(box[2:] + more) // tile_px).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _areas(mask: Mask, tile_px: int) -> Iterator[tuple[int, int, int, int]]:
    """What belongs together, each as left, top, right, bottom in pixels, a tile wider on each side; one area of all
    where there are too many."""
    wider = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(wider)
    found = stats[1:, :4].astype(int) * tile_px
    found[:, 2:] += found[:, :2]
    if len(found) > _MOST_PARTS:
        found = np.concatenate([found[:, :2].min(0), found[:, 2:].max(0)])[None]
    yield from found.tolist()


def _region(left: int, top: int, right: int, bottom: int, *, size: tuple[int, int], rim: int, unit: float) -> Region:
    across = _placed(left - rim, right + rim, size[0], unit)
    down = _placed(top - rim, bottom + rim, size[1], unit)
    inner_across, inner_down = _inner(across, size[0], rim), _inner(down, size[1], rim)
    return Region(
        part=(across[0], down[0], across[1], down[1]),
        inner=(inner_across[0], inner_down[0], inner_across[1], inner_down[1]),
    )


def _placed(low: int, high: int, limit: int, unit: float) -> tuple[int, int]:
    """Along one axis: the shortest of the lengths that covers `low` to `high`, within 0 to `limit`."""
    low, high = max(low, 0), min(high, limit)
    length = next((fit for side in _SIDES if (fit := int(side * unit)) >= high - low), limit)
    if length >= limit:
        return 0, limit
    start = min(max((low + high - length) // 2, 0), limit - length)
    return start, start + length


def _inner(side: tuple[int, int], limit: int, rim: int) -> tuple[int, int]:
    low, high = side
    return (low + rim if low > 0 else low), (high - rim if high < limit else high)
