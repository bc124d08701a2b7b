"""Memory bridges what the detector misses, and never hides less than was detected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.facts.faces import Faces
from guard.vision.bridging import Bridging
from guard.vision.memory import FaceMemory

SIZE = (640, 360)


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


NONE = faces()


def covers(found: Faces, box: tuple[float, float, float, float]) -> bool:
    """Whether one region holds the box whole."""
    low, high = found.boxes[:, :2], found.boxes[:, 2:]
    return bool(((low <= np.array(box[:2])) & (high >= np.array(box[2:]))).all(axis=1).any())


def test_a_face_that_is_missed_for_a_moment_stays_hidden():
    memory = FaceMemory(SIZE, hold_s=0.5)
    box = (100, 100, 140, 150)
    memory.update(faces(box), 0.0)
    for at in (0.1, 0.3, 0.5):
        assert covers(memory.update(NONE, at), box)
    assert len(memory.update(NONE, 0.51)) == 0


def test_the_region_follows_the_motion_and_grows_with_the_time():
    memory = FaceMemory(SIZE, hold_s=1.0)
    for step in range(25):
        memory.update(faces((100 + 4 * step, 100, 140 + 4 * step, 150)), step / 25)
    areas = []
    for missed in range(1, 25):
        found = memory.update(NONE, (24 + missed) / 25)
        there = 100 + 4 * (24 + missed)
        assert covers(found, (there, 100, there + 40, 150))
        (x1, y1, x2, y2) = found.boxes[0]
        areas.append((x2 - x1) * (y2 - y1))
    assert areas == sorted(areas)


def test_a_box_that_trembles_is_not_taken_for_a_face_that_flies():
    memory = FaceMemory(SIZE, hold_s=0.7)
    for step in range(30):
        shift = 3 if step % 2 else -3
        memory.update(faces((100 + shift, 100, 116 + shift, 120)), step / 30)
    (x1, _, x2, _) = memory.update(NONE, 30 / 30 + 0.6).boxes[0]
    assert x2 - x1 < 4 * 16


def test_a_face_found_again_is_not_hidden_twice():
    memory = FaceMemory(SIZE, hold_s=1.0)
    memory.update(faces((100, 100, 140, 150)), 0.0)
    memory.update(NONE, 0.1)
    assert len(memory.update(faces((104, 100, 144, 150)), 0.2)) == 1


def test_two_faces_are_kept_apart():
    memory = FaceMemory(SIZE, hold_s=1.0)
    one, other = (100, 100, 140, 150), (170, 100, 210, 150)
    memory.update(faces(one, other), 0.0)
    found = memory.update(faces(one), 0.1)
    assert covers(found, one)
    assert covers(found, other)


def test_no_memory_gives_what_was_detected():
    memory = FaceMemory(SIZE, hold_s=0.0)
    memory.update(faces((1, 1, 9, 9)), 0.0)
    assert memory.update(NONE, 0.01) is NONE


def test_a_clock_that_steps_back_forgets_nothing_early():
    memory = FaceMemory(SIZE, hold_s=0.5)
    box = (100, 100, 140, 150)
    memory.update(faces(box), 10.0)
    assert covers(memory.update(NONE, 3.0), box)
    assert covers(memory.update(NONE, 10.4), box)


def test_a_face_that_left_the_picture_is_forgotten():
    memory = FaceMemory(SIZE, hold_s=5.0)
    for step in range(5):
        memory.update(faces((20 - 40 * step, 100, 40 - 40 * step, 130)), step / 10)
    for later in range(1, 20):
        for region in memory.update(NONE, 0.4 + later / 10).boxes:
            assert (region >= 0).all()
            assert (region <= [640, 360, 640, 360]).all()
            assert (region[2:] > region[:2]).all()


@pytest.mark.parametrize("hold_s", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(hold_s: float):
    with pytest.raises(ConfigError, match="cannot be held"):
        FaceMemory(SIZE, hold_s=hold_s)


def bridged(found: list[Faces], at_s: list[float], hold_s: float) -> list[Faces]:
    """What is hidden in each frame of a clip, in order."""
    bridging = Bridging[int](SIZE, hold_s=hold_s)
    frames = [frame for number, one in enumerate(found) for frame in bridging.add(number, one, at_s[number])]
    frames += bridging.finish()
    assert [frame.item for frame in frames] == list(range(len(found)))
    for frame, one in zip(frames, found, strict=True):
        assert frame.found is one
    return [frame.hidden for frame in frames]


def test_backwards_a_face_is_hidden_before_it_is_first_detected():
    box = (100, 100, 140, 150)
    found = bridged([NONE, NONE, faces(box), NONE], [0.0, 0.1, 0.2, 0.3], hold_s=0.15)
    assert [covers(one, box) for one in found] == [False, True, True, True]


@pytest.mark.parametrize("hold_s", [0.0, 0.2, 0.7])
def test_no_more_frames_wait_than_memory_needs(hold_s: float):
    bridging = Bridging[int](SIZE, hold_s=hold_s)
    waiting = []
    for number in range(200):
        bridging.add(number, NONE, number / 25)
        waiting.append(len(bridging))
    assert max(waiting) <= (25 * 1.5 * (hold_s + 0.25) + 1 if hold_s else 0)


def test_a_face_is_hidden_backwards_in_a_long_clip_too():
    box = (100, 100, 140, 150)
    for first in range(40, 90):
        found = bridged([faces(box) if at >= first else NONE for at in range(100)], [at / 25 for at in range(100)], 0.7)
        assert [covers(one, box) for one in found] == [at >= first - 17 for at in range(100)]


_boxes = st.lists(
    st.tuples(st.floats(0, 600), st.floats(0, 330), st.floats(1, 40), st.floats(1, 30)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=5,
)


@given(frames=st.lists(_boxes, min_size=1, max_size=12), hold_s=st.sampled_from([0.0, 0.1, 1.0]))
def test_what_was_detected_is_always_there_as_it_was_detected(frames, hold_s):
    found = [faces(*boxes) for boxes in frames]
    at_s = [number / 10 for number in range(len(found))]
    memory = FaceMemory(SIZE, hold_s=hold_s)
    for raw, hidden in zip(found, [memory.update(one, at) for one, at in zip(found, at_s, strict=True)], strict=True):
        np.testing.assert_array_equal(hidden.boxes[: len(raw)], raw.boxes)
        np.testing.assert_array_equal(hidden.scores[: len(raw)], raw.scores)
    for raw, hidden in zip(found, bridged(found, at_s, hold_s), strict=True):
        np.testing.assert_array_equal(hidden.boxes[: len(raw)], raw.boxes)
