"""The change-gated detector: what it may leave out, and what it must not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from guard.errors import GuardFault
from guard.facts import Faces
from guard.vision.gating import ChangeGatedDetector

SCENE = np.random.default_rng(5).integers(40, 120, (720, 1280, 3), np.uint8)
FACE = 250


class Spotter:
    """Finds every pure white square of a picture: a detector whose truth is plain."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.blind = False
        self.error: Exception | None = None

    def __call__(self, picture: np.ndarray) -> Faces:
        self.sizes.append((picture.shape[1], picture.shape[0]))
        if self.error is not None:
            raise self.error
        import cv2

        white = (picture[:, :, 1] >= FACE).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(white)[2][1:, :4] if not self.blind else np.empty((0, 4))
        boxes = stats.astype(np.float32)
        boxes[:, 2:] += boxes[:, :2]
        return Faces(boxes, np.full(len(boxes), 0.9, np.float32))

    @property
    def looked(self) -> str:
        """What it looked at since it was last asked."""
        sizes, self.sizes = self.sizes, []
        return "nothing" if not sizes else "whole" if sizes[0] == (1280, 720) else "parts"


@pytest.fixture
def spotter() -> Spotter:
    return Spotter()


@pytest.fixture
def look(spotter: Spotter) -> Callable[..., list[list[int]]]:
    gated = ChangeGatedDetector(spotter, min_face_px=32, max_stale_s=2.0)

    def boxes(picture: np.ndarray, at_s: float) -> list[list[int]]:
        return sorted(gated.look(picture, at_s)[0].boxes.round().astype(int).tolist())

    return boxes


def scene(*squares: tuple[int, int, int]) -> np.ndarray:
    picture = SCENE.copy()
    for x, y, side in squares:
        picture[y : y + side, x : x + side] = 255
    return picture


def box(x: int, y: int, side: int) -> list[int]:
    return [x, y, x + side, y + side]


def test_the_first_frame_is_looked_at_as_a_whole_and_one_like_it_not_at_all(look, spotter: Spotter):
    assert look(scene((100, 100, 40)), 0.0) == [box(100, 100, 40)]
    assert spotter.looked == "whole"
    assert look(scene((100, 100, 40)), 0.1) == [box(100, 100, 40)]
    assert spotter.looked == "nothing"


def test_a_new_face_is_found_at_once_in_a_part_and_those_elsewhere_are_carried_over(look, spotter: Spotter):
    look(scene((100, 100, 40)), 0.0)
    assert spotter.looked == "whole"
    assert look(scene((100, 100, 40), (900, 500, 60)), 0.1) == [box(100, 100, 40), box(900, 500, 60)]
    assert spotter.looked == "parts"


def test_the_whole_is_looked_at_again_when_it_is_due(look, spotter: Spotter):
    picture = scene((100, 100, 40))
    seen = []
    for step in range(9):
        look(picture, step * 0.5)
        seen.append(spotter.looked)
    assert seen == ["whole", "nothing", "nothing", "nothing"] * 2 + ["whole"]


def test_a_change_that_the_tiles_do_not_show_waits_no_longer_than_the_bound(look, spotter: Spotter):
    spotter.blind = True
    assert look(scene((100, 100, 40)), 0.0) == []
    spotter.blind = False
    assert look(scene((100, 100, 40)), 1.9) == []
    assert look(scene((100, 100, 40)), 2.0) == [box(100, 100, 40)]


def test_a_face_that_moves_is_followed_and_not_doubled(look, spotter: Spotter):
    look(scene((100, 300, 48)), 0.0)
    for step in range(1, 10):
        x = 100 + 12 * step
        assert look(scene((x, 300, 48)), step * 0.1) == [box(x, 300, 48)]
    assert spotter.sizes.count((1280, 720)) == 1


def test_a_face_that_is_missed_for_a_moment_is_held_and_then_let_go(look, spotter: Spotter):
    look(scene((300, 300, 48)), 0.0)
    found = look(scene(), 0.1)
    assert len(found) == 1
    assert found[0][0] <= 300
    assert found[0][2] >= 348
    assert len(look(scene(), 0.6)) == 1
    assert look(scene(), 1.0) == []


def test_a_face_carried_over_for_long_is_held_as_long_as_one_just_seen(look):
    look(scene((300, 300, 48)), 0.0)
    look(scene((300, 300, 48)), 1.6)
    assert len(look(scene(), 1.8)) == 1


@pytest.mark.parametrize("change", ["shape", "earlier"])
def test_doubt_means_the_whole_picture(look, spotter: Spotter, change: str):
    picture = scene((100, 100, 40))
    look(picture, 5.0)
    spotter.sizes.clear()
    if change == "shape":
        look(np.ascontiguousarray(picture[:700]), 5.1)
        assert spotter.sizes == [(1280, 700)]
    else:
        look(picture, 4.9)
        assert spotter.looked == "whole"


def test_much_change_means_the_whole_picture(look, spotter: Spotter):
    look(SCENE, 0.0)
    spotter.sizes.clear()
    look(255 - SCENE, 0.1)
    assert spotter.sizes == [(1280, 720)]


def test_a_detector_that_fails_is_heard_and_the_next_frame_is_looked_at_as_a_whole(look, spotter: Spotter):
    look(scene((100, 100, 40)), 0.0)
    spotter.error = GuardFault("broken")
    with pytest.raises(GuardFault, match="broken"):
        look(scene((100, 100, 40), (900, 500, 60)), 0.1)
    spotter.error = None
    spotter.sizes.clear()
    assert look(scene((900, 500, 60)), 0.2) == [box(900, 500, 60)]
    assert spotter.sizes == [(1280, 720)]


def test_whatever_breaks_is_a_fault(look, spotter: Spotter):
    spotter.error = ValueError("a bug")
    with pytest.raises(GuardFault, match="ValueError"):
        look(SCENE, 0.0)


def test_it_says_how_old_its_answer_may_be(spotter: Spotter):
    gated = ChangeGatedDetector(spotter, min_face_px=32, max_stale_s=2.0)
    assert [gated.look(SCENE, at_s)[1] for at_s in (1.0, 2.5, 3.0)] == [0.0, 1.5, 0.0]


def test_feeds_that_start_at_once_look_at_whole_pictures_at_instants_of_their_own(spotter):
    gated = ChangeGatedDetector(spotter, min_face_px=32, max_stale_s=2.0, first_stale_s=0.5)
    whole = []
    for tenth in range(60):
        gated.look(SCENE, tenth / 10)
        if spotter.looked == "whole":
            whole.append(tenth / 10)
    assert whole == [0.0, 0.5, 2.5, 4.5]
