"""From the network's outputs to boxes: the YuNet decoding, vectorised, and its checks.

Source of the formulas: the network's paper (YuNet: A Tiny Millisecond-level Face Detector, 2023) and the
library of its authors: score = sqrt(class x objectness); a cell at column c, row r of stride S holds the
box centre ((c + dx) S, (r + dy) S) and the size (exp(dw) S, exp(dh) S), and five landmarks ((c + x) S, (r +
y) S).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

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
    levels = [_level(outputs, scaling, stride, face_score) for stride in STRIDES]
    boxes = np.concatenate([level[0] for level in levels])
    scores = np.concatenate([level[1] for level in levels])
    points = np.concatenate([level[2] for level in levels])
    if len(scores) > 1:
        keep = _best(boxes, scores)
        boxes, scores, points = boxes[keep], scores[keep], points[keep]
    return _in_source(boxes, scores, points, scaling)


def _level(outputs: Mapping[str, Floats], scaling: Scaling, stride: int, face_score: float) -> Found:
    """One stride: boxes (x1, y1, x2, y2), scores and landmarks in network pixels, before suppression."""
    columns = scaling.width // stride
    cells = columns * (scaling.height // stride)
    classes = _checked(outputs, f"cls_{stride}", cells, 1)[:, 0]
    objects = _checked(outputs, f"obj_{stride}", cells, 1)[:, 0]
    offsets = _checked(outputs, f"bbox_{stride}", cells, 4)
    for values in (classes, objects):
        # NaN fails both comparisons.
        if not (values.min() >= 0.0 and values.max() <= 1.0):
            raise _broken(f"scores of stride {stride} are outside 0..1")
    if not math.isfinite(offsets.sum(dtype=np.float64)):
        raise _broken(f"boxes of stride {stride} are not finite")

    products = classes * objects
    cell = np.flatnonzero(products >= face_score * face_score)
    row, column = np.divmod(cell, columns)
    corner = np.stack((column, row), axis=1).astype(np.float32)
    offsets = offsets[cell]
    with np.errstate(over="ignore"):
        half = np.exp(offsets[:, 2:]) * np.float32(stride / 2)
    if not np.isfinite(half).all():
        raise _broken(f"boxes of stride {stride} are not finite")
    centre = (corner + offsets[:, :2]) * np.float32(stride)
    boxes = np.concatenate((centre - half, centre + half), axis=1)

    name = f"kps_{stride}"
    if name not in outputs:
        return boxes, np.sqrt(products[cell]), np.empty((len(cell), 0, 2), np.float32)
    points = _checked(outputs, name, cells, 10)[cell].reshape(-1, 5, 2)
    if not np.isfinite(points).all():
        raise _broken(f"landmarks of stride {stride} are not finite")
    return boxes, np.sqrt(products[cell]), (corner[:, None, :] + points) * np.float32(stride)


def _checked(outputs: Mapping[str, Floats], name: str, cells: int, channels: int) -> Floats:
    values = outputs.get(name)
    if values is None or values.shape != (1, cells, channels) or values.dtype != np.float32:
        seen = "nothing" if values is None else f"{values.dtype} {values.shape}"
        raise _broken(f"{name} is {seen} where float32 {(1, cells, channels)} belongs")
    found: Floats = values[0]
    return found


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
