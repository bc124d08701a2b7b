"""Other detectors on the same frames, where they are installed, each at the size that ours works at."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2

from guard.bench.measuring import Row
from guard.vision.models import YUNET_S, find
from guard.vision.scaling import Scaling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["peer_rows"]


def peer_rows(pictures: list[NDArray[np.uint8]], *, min_face_px: int, face_score: float) -> list[Row]:
    """One row a peer: OpenCV's `FaceDetectorYN` with our file, and `yuface`'s own code."""
    height, width = pictures[0].shape[:2]
    scaling = Scaling.of(width, height, min_face_px)
    input_size = (scaling.width, scaling.height)
    return [*_opencv(pictures, input_size, face_score), *_yuface(pictures, input_size, face_score)]


def _opencv(pictures: list[NDArray[np.uint8]], size: tuple[int, ...], face_score: float) -> list[Row]:
    try:
        network = cv2.FaceDetectorYN.create(str(find(YUNET_S)), "", (size[0], size[1]), face_score)
    except (cv2.error, AttributeError):
        return []  # an OpenCV without this class, or one that cannot read the file
    turn = iter(range(10**12))

    def work() -> int:
        picture = pictures[next(turn) % len(pictures)]
        _, faces = network.detect(cv2.resize(picture, (size[0], size[1])))
        return 0 if faces is None else len(faces)

    return [Row("opencv-FaceDetectorYN", work)]


def _yuface(pictures: list[NDArray[np.uint8]], size: tuple[int, ...], face_score: float) -> list[Row]:
    if find_spec("yuface") is None:
        return []
    yuface = import_module("yuface")
    turn = iter(range(10**12))

    def work() -> int:
        picture = pictures[next(turn) % len(pictures)]
        found = yuface.detect(cv2.resize(picture, (size[0], size[1])), conf=face_score)
        return len(found[0] if isinstance(found, tuple) else found)

    return [Row("yuface-native", work)]
