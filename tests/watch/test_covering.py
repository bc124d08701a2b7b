"""The only picture that the page shows: small, and every face covered, remembered ones too."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from guard.errors import GuardFault
from guard.facts import Faces
from guard.watch.covering import WIDTH, Covering
from tests.conftest import OFFICE

WHITE = np.full((720, 1280, 3), 255, np.uint8)
FACE = (600, 300, 660, 370)


def faces(*boxes: tuple[float, ...]) -> Faces:
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))


def seen(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def covering(make_guard):
    return Covering(make_guard(OFFICE), rate=5.0)


def covered(picture: np.ndarray, box: tuple[float, ...], image: np.ndarray = WHITE) -> bool:
    """Whether the box is black in the small picture."""
    scale = picture.shape[1] / image.shape[1]
    x1, y1, x2, y2 = (round(side * scale) for side in box)
    return bool(picture[y1:y2, x1:x2].max() < 40)


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (120, 160), (481, 853), (1, 1)])
def test_it_is_small_and_covered(covering, size):
    image = np.full((*size, 3), 255, np.uint8)
    box = tuple(side * share for side, share in zip((size[1], size[0]) * 2, (0.4, 0.4, 0.6, 0.6), strict=True))
    picture = seen(covering.picture(image, covering.remember(image, faces(box))))
    assert picture.shape[1] <= 1.5 * WIDTH
    assert covered(picture, box, image) or size == (1, 1)


def test_a_picture_without_faces_shows_everything(covering):
    assert seen(covering.picture(WHITE, covering.remember(WHITE, faces()))).min() > 240


def test_a_face_that_is_missed_for_a_moment_stays_covered(covering):
    covering.remember(WHITE, faces(FACE))
    picture = seen(covering.picture(WHITE, covering.remember(WHITE, faces())))
    assert covered(picture, FACE)
    width = FACE[2] - FACE[0]
    for moved in (-width, width):
        assert covered(picture, (FACE[0] + moved, FACE[1], FACE[2] + moved, FACE[3]))


def test_a_face_that_is_seen_is_covered_with_no_more_than_its_margin(covering):
    for _ in range(2):
        picture = seen(covering.picture(WHITE, covering.remember(WHITE, faces(FACE))))
    assert not covered(picture, (FACE[0] - 60, FACE[1], FACE[2] - 60, FACE[3]))


def test_another_clip_begins_with_nothing_remembered(covering):
    covering.remember(WHITE, faces(FACE))
    covering.forget()
    assert seen(covering.picture(WHITE, covering.remember(WHITE, faces()))).min() > 240


def test_a_face_at_the_rim_that_is_cut_off_is_no_fault(covering):
    covering.picture(WHITE, faces((1279.2, 719.2, 1280, 720)))


def test_a_box_that_is_nowhere_gives_no_picture(covering):
    with pytest.raises(GuardFault):
        covering.picture(WHITE, faces((np.nan, 0, 10, 10)))


def test_the_frame_is_not_written_to(covering):
    image = WHITE.copy()
    covering.picture(image, faces(FACE))
    assert (image == 255).all()
