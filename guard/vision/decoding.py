"""From the network's outputs to boxes: the YuNet decoding, vectorised, and its checks.

Source of the formulas: the network's paper (YuNet: A Tiny Millisecond-level Face Detector, 2023) and the
library of its authors: score = sqrt(class x objectness); a cell at column c, row r of stride S holds the
box centre ((c + dx) S, (r + dy) S) and the size (exp(dw) S, exp(dh) S), and five landmarks ((c + x) S, (r +
y) S).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.errors import GuardFault
from guard.vision.scaling import Scaling

__all__ = ["LANDMARKS", "OUTPUTS", "Found", "decode"]

STRIDES = (8, 16, 32)
#: The authors' value: of two boxes whose intersection over union is more, the better one stays.
MAX_OVERLAP = 0.45
OUTPUTS = tuple(f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox"))
LANDMARKS = tuple(f"kps_{stride}" for stride in STRIDES)

Floats = npt.NDArray[np.float32]
#: Boxes float32 N x 4 (x1, y1, x2, y2) and scores float32 N, best first, then landmarks float32 N x 5 x 2,
#: or N x 0 x 2 where they were not asked for; all in source pixels.
Found = tuple[Floats, Floats, Floats]


def decode(outputs: Mapping[str, Floats], scaling: Scaling, face_score: float) -> Found:
    """Boxes of at least `face_score`, in source pixels, clipped to the picture.

    Args:
        outputs: by name, `OUTPUTS` and, where landmarks are wanted, `LANDMARKS`.

    Raises:
        GuardFault: the outputs are not what this network can give (shape, range, NaN): the picture was not
        seen.
    """
    grid = _grid(scaling.width, scaling.height)
    cell, scores = _candidates(outputs, grid, face_score)
    offsets = _joined(outputs, "bbox", grid, 4)
    if not math.isfinite(offsets.sum(dtype=np.float64)):
        raise _broken("boxes are not finite")
    offsets, corners, strides = offsets[cell], grid.corners[cell], grid.strides[cell]
    with np.errstate(over="ignore"):
        half = np.exp(offsets[:, 2:]) * (strides * np.float32(0.5))
    if not np.isfinite(half).all():
        raise _broken("boxes are not finite")
    centre = offsets[:, :2] * strides + corners
    boxes = np.concatenate((centre - half, centre + half), axis=1)

    if LANDMARKS[0] in outputs:
        points = _joined(outputs, "kps", grid, 10)[cell].reshape(-1, 5, 2)
        if not np.isfinite(points).all():
            raise _broken("landmarks are not finite")
        points = points * strides[:, None] + corners[:, None]
    else:
        points = np.empty((len(cell), 0, 2), np.float32)
    if len(scores) > 1:
        kept = _best(boxes, scores)
        boxes, scores, points = boxes[kept], scores[kept], points[kept]
    return _in_source(boxes, scores, points, scaling)


class _Grid(NamedTuple):
    """The cells of one input size, all strides in a row: N x 2 corners and N x 1 strides in network
    pixels."""

    corners: Floats
    strides: Floats
    counts: tuple[int, ...]


@lru_cache(maxsize=16)
def _grid(width: int, height: int) -> _Grid:
    corners, strides, counts = [], [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        corners.append(np.stack((columns.ravel(), rows.ravel()), axis=1) * stride)
        strides.append(np.full((rows.size, 1), stride))
        counts.append(rows.size)
    return _Grid(np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32), tuple(counts))


def _candidates(outputs: Mapping[str, Floats], grid: _Grid, face_score: float) -> tuple[npt.NDArray[np.intp], Floats]:
    """Cells that score at least `face_score`, and their scores."""
    classes, objects = _joined(outputs, "cls", grid, 1)[:, 0], _joined(outputs, "obj", grid, 1)[:, 0]
    for values in (classes, objects):
        # NaN fails both comparisons.
        if not (values.min() >= 0.0 and values.max() <= 1.0):
            raise _broken("scores are outside 0..1")
    products = classes * objects
    cell = np.flatnonzero(products >= face_score * face_score)
    return cell, np.sqrt(products[cell])


def _joined(outputs: Mapping[str, Floats], kind: str, grid: _Grid, channels: int) -> Floats:
    """One kind of output over all strides, N x channels, after a check of each part's shape and type."""
    parts = []
    for stride, cells in zip(STRIDES, grid.counts, strict=True):
        name = f"{kind}_{stride}"
        part = outputs.get(name)
        if part is None or part.shape != (1, cells, channels) or part.dtype != np.float32:
            seen = "nothing" if part is None else f"{part.dtype} {part.shape}"
            raise _broken(f"{name} is {seen} where float32 {(1, cells, channels)} belongs")
        parts.append(part[0])
    return np.concatenate(parts)


def _best(boxes: Floats, scores: Floats) -> npt.NDArray[np.intp]:
    """Indices that survive non-maximum suppression, best score first."""
    rectangles = boxes.astype(np.float64)
    rectangles[:, 2:] -= rectangles[:, :2]
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.0, MAX_OVERLAP)
    return np.asarray(kept, dtype=np.intp).reshape(-1)


def _in_source(boxes: Floats, scores: Floats, points: Floats, scaling: Scaling) -> Found:
    across, down = scaling.factors
    boxes *= np.array([across, down, across, down], np.float32)
    points *= np.array([across, down], np.float32)
    width, height = scaling.source_width, scaling.source_height
    np.clip(boxes, 0.0, np.array([width, height, width, height], np.float32), out=boxes)
    # A box wholly in the blank rim covers no pixel of the picture.
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if inside.all():
        return boxes, scores, points
    return boxes[inside], scores[inside], points[inside]


def _broken(what: str) -> GuardFault:
    return GuardFault(
        f"the face detector gave what it cannot give: {what}",
        where="detector",
        mend="the frame counts as not seen",
    )
