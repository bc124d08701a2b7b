"""Hiding faces: a copy of the picture in which every box is made unrecognisable.

``solid`` is the default because it is the only style that cannot be undone: nothing of the face is left. The other two
are for pictures that people look at. They keep a few means of the region, three cells or so across a face, whatever its
size: too little for a matcher, also where many frames of a moving face are put together (`benchmarks/redaction.py`).
But what is kept depends on the face, and somebody who trains a machine on just such pictures of a few known people may
tell them apart (McPherson, Shokri, Shmatikov: Defeating Image Obfuscation with Deep Learning, 2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.errors import ConfigError, GuardFault
from guard.facts.faces import Faces
from guard.vision.picture import Picture, as_bgr

__all__ = ["STYLES", "Style", "redact"]

Style = Literal["solid", "pixelate", "blur"]
STYLES: tuple[Style, ...] = ("solid", "pixelate", "blur")

#: Cells along the longer side of a region: all that the two soft styles keep of it, however large the face is.
CELLS = 4
#: Samples along each side of a cell, of which its mean is made.
SAMPLES = 8

_Region = tuple[slice, slice]
"""The part of a region within the picture."""


def redact(image: Any, faces: Faces, *, style: Style = "solid", margin: float = 0.25) -> Picture:
    """A copy of `image` with every face hidden; `image` is never written to.

    Args:
        image: uint8 H x W, or H x W x 1, 3 or 4; any strides, may be read-only.
        faces: boxes in pixels of this picture; overlapping ones are hidden all.
        style: ``solid`` (black, cannot be undone), ``pixelate`` or ``blur``.
        margin: how far a region reaches beyond its box on each side, as a part of the box's width or height: hair, ears
            and chin identify too.

    Returns:
        A new C-contiguous array of the same shape. Of four channels the last is taken for alpha and made opaque in the
        regions: an outline in it would show the face.

    Raises:
        SourceError: `image` is not a picture.
        ConfigError: `style` or `margin` is out of range.
        GuardFault: a box cannot be placed in this picture (not finite, inside out, or outside of it), so that what it
            stands for would stay visible.
    """
    if style not in STYLES:
        raise ConfigError(f"redaction style is {style!r}", where="style", mend=f"choose one of {', '.join(STYLES)}")
    if not 0.0 <= margin <= 10.0:
        raise ConfigError(f"redaction margin is {margin}", where="margin", mend="give a number from 0 to 10")
    as_bgr(image)
    copy: Picture = np.array(image, dtype=np.uint8, order="C", copy=True, subok=False)
    for region, side in list(_regions(faces.boxes, copy.shape[1], copy.shape[0], margin)):
        hidden = copy[region]
        if style == "solid":
            hidden[...] = 0
        else:
            enlarged = _pixelated if style == "pixelate" else _blurred
            hidden[...] = enlarged(_cells(hidden, side), (hidden.shape[1], hidden.shape[0])).reshape(hidden.shape)
        if copy.ndim == 3 and copy.shape[2] == 4:
            hidden[..., 3] = 255
    return copy


def _regions(boxes: npt.NDArray[np.float32], width: int, height: int, margin: float) -> Iterator[tuple[_Region, float]]:
    """Each region, and the longer side that it has beyond the picture's border as well."""
    limits = np.array([width, height], np.float64)
    for box in boxes.astype(np.float64):
        low, high = box[:2], box[2:]
        if not np.isfinite(box).all() or (high < low).any() or (low >= limits).any() or (high <= 0).any():
            raise _misplaced(box)
        reach = margin * (high - low)
        first = np.clip(np.floor(low - reach), 0, limits)
        last = np.clip(np.ceil(high + reach), 0, limits)
        # A box without extent still hides the pixel that it lies in.
        last = np.maximum(last, np.minimum(first + 1, limits))
        (x1, y1), (x2, y2) = first.astype(int), last.astype(int)
        yield (slice(y1, y2), slice(x1, x2)), float((high - low + 2 * reach).max())


def _misplaced(box: npt.NDArray[np.float64]) -> GuardFault:
    return GuardFault(
        f"a face box lies outside of the picture to be redacted: {[round(float(v), 1) for v in box]}",
        where="redact",
        mend="redact the very picture that was looked at",
    )


def _pixelated(cells: Picture, size: tuple[int, int]) -> npt.NDArray[Any]:
    return cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST)


def _blurred(cells: Picture, size: tuple[int, int]) -> npt.NDArray[Any]:
    soft = cv2.GaussianBlur(cells, (3, 3), 0, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR)


def _cells(region: Picture, side: float) -> Picture:
    """The few numbers that are kept of a region: the means of its cells.

    `side` is the longer one of the whole region: of a face that is cut off by the border no more is kept than of
    another.
    """
    height, width = region.shape[:2]
    cell = max(side / CELLS, 1.0)
    across, down = max(1, round(width / cell)), max(1, round(height / cell))
    # A few samples of each cell make its mean: the cost does not grow with the face.
    samples = cv2.resize(region, (SAMPLES * across, SAMPLES * down), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(samples, (across, down), interpolation=cv2.INTER_AREA), np.uint8)
