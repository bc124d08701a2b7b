"""`detect = "on-change"`: faces as evidence, up to a bound old; a call that hinges on faces is judged on its own."""

from __future__ import annotations

import numpy as np
import pytest

import guard
from guard.context.finding import Finding
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import BOX, OFFICE, POLICE, SCENE

ON_CHANGE = OFFICE.replace('id = "door"', 'id = "door"\ndetect = "on-change"')
BODY_WORN = POLICE.replace('id = "bodycam"', 'id = "bodycam"\ndetect = "on-change"')
FIXED_POLICE = BODY_WORN.replace('mount = "body_worn"', 'mount = "fixed"')


def test_a_frame_like_the_one_before_costs_no_detection_and_shows_its_faces(make_guard):
    detector = FakeDetector([BOX])
    cam = make_guard(ON_CHANGE, detector=detector).source()
    for _ in range(5):
        with cam.frame(SCENE.copy()) as seen:
            assert len(seen.faces) == 1
    assert detector.seen == 1
    assert 0.0 < seen.stale_s < 2.0


def test_a_call_that_hinges_on_faces_is_judged_by_the_faces_of_its_very_frame(make_guard):
    detector, ledger = FakeDetector([]), MemoryLedger()
    cam = make_guard(FIXED_POLICE, detector=detector, ledger=ledger).source()
    sent = []
    describe = cam.protect(lambda image: sent.append(image), service="azure_openai")
    frame = SCENE.copy()
    with cam.frame(frame):
        pass
    detector.boxes = [BOX]  # it would be found now, and nothing in the picture gives it away
    with cam.frame(frame) as seen:
        assert len(seen.faces) == 0
        describe(frame)
        assert len(seen.faces) == 1
        assert seen.stale_s == 0.0
    assert ledger.verdicts() == ["redact"]
    x1, y1, x2, y2 = BOX
    assert not np.array_equal(sent[0][y1:y2, x1:x2], frame[y1:y2, x1:x2])


def test_a_failure_on_that_very_frame_is_not_covered_by_what_was_carried_over(make_guard):
    detector = FakeDetector([])
    cam = make_guard(FIXED_POLICE, detector=detector).source()
    describe = cam.protect(lambda image: "sent", service="azure_openai")
    with cam.frame(SCENE):
        pass
    with cam.frame(SCENE) as seen:
        detector.error = guard.GuardFault("broken")
        with pytest.raises(guard.GuardFault):
            describe(SCENE)
        with pytest.raises(guard.GuardFault):
            _ = seen.faces


@pytest.mark.parametrize("text", [BODY_WORN, ON_CHANGE.replace('capture = { mount = "fixed" }\n', "")])
def test_every_frame_is_detected_where_the_camera_is_not_known_to_be_fixed(make_guard, text: str):
    detector = FakeDetector([BOX])
    cam = make_guard(text, detector=detector).source()
    for _ in range(3):
        with cam.frame(SCENE):
            pass
    assert detector.seen == 3


def test_every_frame_is_detected_once_the_camera_was_seen_to_move(make_guard):
    detector = FakeDetector([BOX])
    cam = make_guard(ON_CHANGE, detector=detector).source()
    with cam.frame(SCENE):
        pass
    seen = ("body_worn", "vehicle", "handheld", "drone")
    cam.context.saw(Finding.compared(cam.facts, "capture.mount", seen, 0.9, "it moves"))
    for _ in range(3):
        with cam.frame(SCENE) as frame:
            assert frame.stale_s == 0.0
    assert detector.seen == 4


def test_a_frame_on_which_the_detector_fails_has_unknown_faces(make_guard):
    cam = make_guard(ON_CHANGE, detector=FakeDetector(error=guard.GuardFault("broken"))).source()
    with cam.frame(SCENE) as seen, pytest.raises(guard.GuardFault):
        _ = seen.faces


def test_the_whole_is_looked_at_as_often_as_the_file_says(make_guard):
    detector = FakeDetector([BOX])
    text = ON_CHANGE.replace('detect = "on-change"', 'detect = "on-change"\nmax_stale_s = 0.5')
    cam = make_guard(text, detector=detector).source()
    for step in range(9):
        cam.watch.clip_s = step * 0.25
        with cam.frame(SCENE):
            pass
    assert detector.seen == 5
