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
    """One that gives each picture at once: it looks too rarely to wait for another look."""
    return Covering(make_guard(OFFICE), rate=0.5)


@pytest.fixture
def waiting(make_guard):
    """One whose pictures wait for two more looks."""
    return Covering(make_guard(OFFICE), rate=5.0)


def shown(covering: Covering, found: Faces, image: np.ndarray = WHITE) -> np.ndarray:
    return seen(covering.take(image, found, wanted=True))


def covered(picture: np.ndarray, box: tuple[float, ...], image: np.ndarray = WHITE) -> bool:
    """Whether the box is black in the small picture."""
    scale = picture.shape[1] / image.shape[1]
    x1, y1, x2, y2 = (round(side * scale) for side in box)
    return bool(picture[y1:y2, x1:x2].max() < 40)


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (120, 160), (481, 853), (1, 1)])
def test_it_is_small_and_covered(covering, size):
    image = np.full((*size, 3), 255, np.uint8)
    box = tuple(side * share for side, share in zip((size[1], size[0]) * 2, (0.4, 0.4, 0.6, 0.6), strict=True))
    picture = shown(covering, faces(box), image)
    assert picture.shape[1] <= 1.5 * WIDTH
    assert covered(picture, box, image) or size == (1, 1)


def test_a_picture_without_faces_shows_everything(covering):
    assert shown(covering, faces()).min() > 240


def test_a_face_that_is_missed_for_a_moment_stays_covered(covering):
    covering.take(WHITE, faces(FACE), wanted=False)
    picture = shown(covering, faces())
    assert covered(picture, FACE)
    width = FACE[2] - FACE[0]
    for moved in (-width, width):
        assert covered(picture, (FACE[0] + moved, FACE[1], FACE[2] + moved, FACE[3]))


def test_a_face_that_is_seen_is_covered_with_no_more_than_its_margin(covering):
    for _ in range(2):
        picture = shown(covering, faces(FACE))
    assert not covered(picture, (FACE[0] - 60, FACE[1], FACE[2] - 60, FACE[3]))


def test_another_clip_begins_with_nothing_remembered(covering):
    covering.take(WHITE, faces(FACE), wanted=False)
    covering.forget()
    assert shown(covering, faces()).min() > 240


def test_a_picture_waits_so_that_a_face_that_comes_into_view_is_covered_in_it(waiting):
    assert waiting.take(WHITE, faces(), wanted=True) is None
    assert waiting.take(WHITE, faces(), wanted=True) is None, "no second one waits"
    picture = seen(waiting.take(WHITE, faces(FACE), wanted=False))
    assert covered(picture, FACE)
    width = FACE[2] - FACE[0]
    for moved in (-2 * width, 2 * width):
        assert covered(picture, (FACE[0] + moved, FACE[1], FACE[2] + moved, FACE[3]))
    assert not waiting.waits


def test_a_face_that_is_seen_again_later_is_covered_with_no_more_than_its_margin(waiting):
    for _ in range(2):
        assert waiting.take(WHITE, faces(FACE), wanted=True) is None
    picture = seen(waiting.take(WHITE, faces(FACE), wanted=False))
    assert covered(picture, FACE)
    assert not covered(picture, (FACE[0] - 60, FACE[1], FACE[2] - 60, FACE[3]))


def test_the_last_picture_of_a_clip_waits_no_longer_and_is_not_covered_by_the_next_clips_faces(waiting):
    waiting.take(WHITE, faces(), wanted=True)
    waiting.forget()
    assert seen(waiting.take(WHITE, faces(FACE), wanted=True)).min() > 240
    assert waiting.waits


def test_on_a_slow_machine_one_later_look_is_enough(waiting, monkeypatch):
    monkeypatch.setattr("guard.watch.covering._LONGEST_S", -1.0)
    waiting.take(WHITE, faces(), wanted=True)
    assert covered(seen(waiting.take(WHITE, faces(FACE), wanted=True)), FACE)
    assert waiting.waits


def test_a_picture_of_another_size_than_what_follows_is_thrown_away(waiting):
    waiting.take(WHITE, faces(), wanted=True)
    assert waiting.take(WHITE[:360], faces(), wanted=False) is None
    assert not waiting.waits


def test_a_face_at_the_rim_that_is_cut_off_is_no_fault(covering):
    shown(covering, faces((1279.2, 719.2, 1280, 720)))


def test_a_box_that_is_nowhere_gives_no_picture(covering):
    with pytest.raises(GuardFault):
        covering.take(WHITE, faces((np.nan, 0, 10, 10)), wanted=True)


def test_the_frame_is_not_written_to(covering):
    image = WHITE.copy()
    shown(covering, faces(FACE), image)
    assert (image == 255).all()
