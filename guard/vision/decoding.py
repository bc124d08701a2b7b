"""From the network's outputs to boxes: the YuNet decoding, vectorised, and its checks.

Source of the formulas: the network's paper (YuNet: A Tiny Millisecond-level Face Detector, 2023) and the
library of its authors: score = sqrt(class x objectness); a cell at column c, row r of stride S holds the
box centre ((c + dx) S, (r + dy) S) and the size (exp(dw) S, exp(dh) S), and five landmarks ((c + x) S, (r +
y) S).
"""

from __future__ import annotations

import math
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

__all__ = ["STRIDES", "Floats", "Found", "Outputs", "decode"]

STRIDES = (8, 16, 32)
#: The authors' value: of two boxes whose intersection over union is more, the better one stays.
MAX_OVERLAP = 0.45

Floats = npt.NDArray[np.float32]


class Outputs(NamedTuple):
    """What the network said, all float32, one row a cell: stride 8 row by row, then 16, then 32."""

    classes: Floats
    """N x 1, 0 to 1."""
    objects: Floats
    """N x 1, 0 to 1."""
    boxes: Floats
    """N x 4."""
    points: Floats | None
    """N x 10; None where landmarks were not asked for."""


class Found(NamedTuple):
    """Faces in source pixels, best first, all float32."""

    boxes: Floats
    """N x 4: x1, y1, x2, y2, clipped to the picture."""
    scores: Floats
    """N."""
    points: Floats
    """N x 5 x 2, N x 0 x 2 where landmarks were not asked for."""


def decode(outputs: Outputs, scaling: Scaling, face_score: float) -> Found:
    """The faces that score at least `face_score`.

    Raises:
        GuardFault: the outputs are not what this network can give (NaN, out of range): the picture was not seen.
    """
    cell, scores = _candidates(outputs, face_score)
    # Both extremes are finite only where all values are: a NaN becomes both.
    if not (math.isfinite(outputs.boxes.min()) and math.isfinite(outputs.boxes.max())):
        raise _broken("boxes are not finite")
    grid = _grid(scaling.width, scaling.height)
    offsets, corners, strides = outputs.boxes[cell], grid.corners[cell], grid.strides[cell]
    with np.errstate(over="ignore"):
        half = np.exp(offsets[:, 2:]) * (strides * np.float32(0.5))
    if not np.isfinite(half).all():
        raise _broken("boxes are not finite")
    centre = offsets[:, :2] * strides + corners
    boxes = np.concatenate((centre - half, centre + half), axis=1)

    points = np.empty((len(cell), 0, 2), np.float32)
    if outputs.points is not None:
        points = outputs.points[cell].reshape(-1, 5, 2) * strides[:, None] + corners[:, None]
        if not np.isfinite(points).all():
            raise _broken("landmarks are not finite")
    if len(scores) > 1:
        kept = _best(boxes, scores)
        boxes, scores, points = boxes[kept], scores[kept], points[kept]
    return _in_source(boxes, scores, points, scaling)


class _Grid(NamedTuple):
    """The cells of one input size: N x 2 corners and N x 1 strides in network pixels, in the order of `Outputs`."""

    corners: Floats
    strides: Floats


@lru_cache(maxsize=16)
def _grid(width: int, height: int) -> _Grid:
    corners, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        corners.append(np.stack((columns.ravel(), rows.ravel()), axis=1) * stride)
        strides.append(np.full((rows.size, 1), stride))
    return _Grid(np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32))


def _candidates(outputs: Outputs, face_score: float) -> tuple[npt.NDArray[np.intp], Floats]:
    """Cells that score at least `face_score`, and their scores."""
    classes, objects = outputs.classes[:, 0], outputs.objects[:, 0]
    for values in (classes, objects):
        # NaN fails both comparisons.
        if not (values.min() >= 0.0 and values.max() <= 1.0):
            raise _broken("scores are outside 0..1")
    products = classes * objects
    cell = np.flatnonzero(products >= np.float32(face_score * face_score))
    return cell, np.sqrt(products[cell])


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
        return Found(boxes, scores, points)
    return Found(boxes[inside], scores[inside], points[inside])


def _broken(what: str) -> GuardFault:
    return GuardFault(
        f"the face detector gave what it cannot give: {what}",
        where="detector",
        mend="the frame counts as not seen",
    )
