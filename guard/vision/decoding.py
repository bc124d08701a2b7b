"""From the network's outputs to boxes: the YuNet decoding, vectorised, and its checks.

Source of the formulas: the network's paper (YuNet: A Tiny Millisecond-level Face Detector, 2023) and the
library of its authors: score = sqrt(class x objectness); a cell at column c, row r of stride S holds the
box centre ((c + dx) S, (r + dy) S) and the size (exp(dw) S, exp(dh) S), and five landmarks ((c + x) S, (r +
y) S).
"""

from __future__ import annotations

from typing import NamedTuple

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.errors import GuardFault
from guard.vision.scaling import Scaling

__all__ = ["STRIDES", "Floats", "Found", "Grid", "Outputs", "decode"]

STRIDES = (8, 16, 32)
#: The authors' value: of two boxes whose intersection over union is more, the better one stays.
MAX_OVERLAP = 0.45
#: Offsets beyond this are garbage: on photographs, noise and flat colours they stay within -3 and 4.
MAX_OFFSET = 20.0

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


class Grid(NamedTuple):
    """The cells of one input size in the order of `Outputs`, in source pixels, so that boxes come out there at once.

    `corners` and `strides` are N x 2 (x, y), `limits` is the picture's width and
    height, twice, as boxes need it.
    """

    corners: Floats
    strides: Floats
    limits: Floats

    @classmethod
    def of(cls, scaling: Scaling) -> Grid:
        factors = np.array(scaling.factors)
        corners, strides = [], []
        for stride in STRIDES:
            rows, columns = np.mgrid[: scaling.height // stride, : scaling.width // stride]
            corners.append(np.stack((columns.ravel(), rows.ravel()), axis=1) * (stride * factors))
            strides.append(np.broadcast_to(stride * factors, (rows.size, 2)))
        return cls(
            np.concatenate(corners).astype(np.float32),
            np.concatenate(strides).astype(np.float32),
            np.array([scaling.source_width, scaling.source_height] * 2, np.float32),
        )


def decode(outputs: Outputs, grid: Grid, face_score: float) -> Found:
    """The faces that score at least `face_score`.

    Raises:
        GuardFault: the outputs are not what this network can give (NaN, out of range): the picture was not seen.
    """
    cell, scores = _candidates(outputs, face_score)
    offsets, corners, strides = outputs.boxes[cell], grid.corners[cell], grid.strides[cell]
    half = np.exp(offsets[:, 2:]) * (strides * np.float32(0.5))
    centre = offsets[:, :2] * strides + corners
    boxes = np.concatenate((centre - half, centre + half), axis=1)
    kept = _best(boxes, scores)
    boxes = boxes[kept]
    np.maximum(boxes, np.float32(0.0), out=boxes)
    np.minimum(boxes, grid.limits, out=boxes)
    # A box wholly in the blank rim covers no pixel of the picture.
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not inside.all():
        kept, boxes = kept[inside], boxes[inside]
    points = np.empty((len(kept), 0, 2), np.float32)
    if outputs.points is not None:
        points = outputs.points[cell[kept]].reshape(-1, 5, 2) * strides[kept, None] + corners[kept, None]
        if not np.isfinite(points).all():
            raise _broken("landmarks are not finite")
    return Found(boxes, scores[kept], points)


def _candidates(outputs: Outputs, face_score: float) -> tuple[npt.NDArray[np.intp], Floats]:
    """Cells that score at least `face_score`, and their scores; the checks of all outputs but the landmarks."""
    # Written so that NaN fails every comparison.
    for values in (outputs.classes, outputs.objects):
        if not (values.min() >= 0.0 and 0.0 < values.max() <= 1.0):
            raise _broken("scores are not between 0 and 1, or are all 0")
    if not (outputs.boxes.min() >= -MAX_OFFSET and outputs.boxes.max() <= MAX_OFFSET):
        raise _broken("box offsets are out of range")
    products = outputs.classes[:, 0] * outputs.objects[:, 0]
    cell = np.flatnonzero(products >= np.float32(face_score * face_score))
    return cell, np.sqrt(products[cell])


def _best(boxes: Floats, scores: Floats) -> npt.NDArray[np.intp]:
    """Indices that survive non-maximum suppression, best score first."""
    if len(scores) < 2:
        return np.arange(len(scores))
    rectangles = boxes.astype(np.float64)
    rectangles[:, 2:] -= rectangles[:, :2]
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.0, MAX_OVERLAP)
    return np.asarray(kept, dtype=np.intp).reshape(-1)


def _broken(what: str) -> GuardFault:
    return GuardFault(
        f"the face detector gave what it cannot give: {what}",
        where="detector",
        mend="the frame counts as not seen",
    )
