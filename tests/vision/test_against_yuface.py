"""Box by box against the authors' own code, which the weights come from."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from guard.vision import Detector
from guard.vision.picture import Picture

Boxes = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def yuface() -> ModuleType:
    module: ModuleType = pytest.importorskip("yuface")
    return module


def test_the_astronaut_has_the_same_box_and_score(yuface: ModuleType, detector: Detector, astronaut: Picture) -> None:
    theirs, scores = _theirs(yuface, astronaut)
    faces = detector.detect(astronaut, min_face_px=16)
    np.testing.assert_allclose(faces.boxes, theirs, atol=1.0)
    np.testing.assert_allclose(faces.scores, scores, atol=0.01)


def test_landmarks_are_the_same(yuface: ModuleType, detector: Detector, astronaut: Picture) -> None:
    _, _, points = yuface.detect(astronaut)
    _, ours = detector.detect_landmarks(astronaut, min_face_px=16)
    np.testing.assert_allclose(ours.reshape(-1, 10), points, atol=1.0)


def test_a_group_has_the_same_boxes(yuface: ModuleType, detector: Detector, group: Picture) -> None:
    assert _unmatched(yuface, detector, np.ascontiguousarray(group[:576, :960])) == (4, 0)


def test_real_pictures_have_the_same_boxes(
    yuface: ModuleType, detector: Detector, evaluation_pictures: list[Path]
) -> None:
    faces = unmatched = 0
    for path in evaluation_pictures:
        picture = cv2.imread(str(path))
        assert picture is not None
        # The library pools an odd row at the border otherwise than ONNX does: whole multiples of 32 only.
        height, width = (side // 32 * 32 for side in picture.shape[:2])
        found, missing = _unmatched(yuface, detector, np.ascontiguousarray(picture[:height, :width]))
        faces += found
        unmatched += missing
    assert faces > 10
    assert unmatched <= 0.01 * faces


def _unmatched(yuface: ModuleType, detector: Detector, picture: Picture) -> tuple[int, int]:
    """How many faces either of the two sees well above the threshold, and how many of them the other misses."""
    theirs, their_scores = _theirs(yuface, picture)
    faces = detector.detect(picture, min_face_px=16)
    # Theirs are rounded to whole per cents, so faces next to the threshold of 0.5 may fall on either side.
    missing = [box for box in theirs[their_scores >= 0.53] if not _near(box, faces.boxes)]
    missing += [box for box in faces.boxes[faces.scores >= 0.53] if not _near(box, theirs)]
    return int((their_scores >= 0.53).sum()), len(missing)


def _near(box: Boxes, others: Boxes) -> bool:
    """Whether one of `others` is within 2 px of `box`, or within 4 % of its size: theirs are whole pixels."""
    reach = max(2.0, 0.04 * float(max(box[2:] - box[:2])))
    return bool((np.abs(others - box) <= reach).all(axis=1).any())


def _theirs(yuface: ModuleType, picture: Picture) -> tuple[Boxes, npt.NDArray[np.float64]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # larger than 960 px: only a hint about speed
        scores, boxes, _ = yuface.detect(picture)
    found = boxes.astype(np.float32)
    found[:, 2:] += found[:, :2]
    # Ours end at the border of the picture.
    height, width = picture.shape[:2]
    return np.clip(found, 0, [width, height, width, height]).astype(np.float32), scores / 100.0
