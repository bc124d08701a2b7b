"""The place before a camera is found again behind whoever passes, in any light, and not from anywhere else."""

from __future__ import annotations

import numpy as np
import pytest

from guard.vision.motion_place import Place
from tests.vision.test_motion import seen_from, taken, wall


@pytest.fixture
def place() -> Place:
    place = Place()
    place.remember(wall(0), 0.9)
    return place


@pytest.mark.parametrize("light", [0.4, 1.0, 1.15])
def test_it_is_found_in_the_gap_that_a_crowd_leaves(place, light):
    view = seen_from(700)
    view[:, 100:140] = seen_from(200)[:, 100:140]
    assert place.is_in(taken(view * light, 1))


@pytest.mark.parametrize("x", [203, 194, 260, 700])
def test_a_camera_that_turned_does_not_show_it(place, x):
    assert not place.is_in(taken(seen_from(x), 1))


def test_nothing_is_known_before_the_camera_stood():
    assert not Place().is_in(wall(0))


def test_the_calmest_picture_stays_for_a_while():
    place = Place()
    place.remember(wall(0), 0.9)
    place.remember(taken(seen_from(700), 1), 0.5)
    assert place.is_in(wall(2))
    for number in range(300):
        place.remember(taken(seen_from(700), number), 0.5)
    assert not place.is_in(wall(2))
    assert place.is_in(taken(seen_from(700), 2))


def test_what_bears_a_single_grey_is_nowhere(place):
    assert not place.is_in(np.full_like(wall(0), 128))
