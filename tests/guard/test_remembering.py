"""A face that is missed for a moment is covered all the same in what goes out, and nothing is covered less for it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guard
from guard.config.reading import FACE_MEMORY_S
from guard.facts import Faces
from guard.integrations.filters import FrameFilter
from guard.remembering import Remembering, carried_over
from guard.testing import FakeDetector
from guard.vision.memory import HOLD_S
from tests.conftest import BOX, POLICE, SCENE

START = datetime(2026, 11, 1, tzinfo=UTC)
PATIENT = POLICE.replace('id = "bodycam"', 'id = "bodycam"\nmax_age_s = 60')  # frames are small, machines may be slow
FORGETFUL = PATIENT.replace('id = "bodycam"', 'id = "bodycam"\nface_memory_s = 0')
INSIDE = np.s_[BOX[1] : BOX[3], BOX[0] : BOX[2]]


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


def bright(image: Any) -> list[Any]:
    return [BOX] if image.max() > 127 else []


def describing(make_guard, text: str = PATIENT):
    g = make_guard(text, detector=FakeDetector(bright))
    got: list[Any] = []
    return g, g.source(), g.source().protect(got.append, service="azure_openai"), got


SEEN = np.clip(SCENE.astype(int) + 120, 0, 255).astype(np.uint8)
MISSED = SCENE


def test_a_missed_face_is_covered_and_counts_as_one(make_guard):
    g, cam, describe, got = describing(make_guard)
    for step, frame in enumerate([SEEN, MISSED, MISSED]):
        with cam.frame(frame, at=START + timedelta(seconds=0.2 * step)) as seen:
            describe(frame)
    assert len(seen.faces) == 0
    assert all(not sent[INSIDE].any() for sent in got)
    assert g.ledger.verdicts() == ["redact", "redact", "redact"]
    assert [entry.decision.faces for entry in g.ledger.entries] == [1, 1, 1]


@pytest.mark.parametrize(("text", "later_s"), [(PATIENT, 0.8), (FORGETFUL, 0.1)])
def test_memory_ends_with_its_time_and_can_be_switched_off(make_guard, text: str, later_s: float):
    g, cam, describe, got = describing(make_guard, text)
    for frame, at in [(SEEN, START), (MISSED, START + timedelta(seconds=later_s))]:
        with cam.frame(frame, at=at):
            describe(frame)
    assert np.array_equal(got[1], MISSED)
    assert g.ledger.verdicts() == ["redact", "allow"]


def test_a_memory_that_fails_leaves_the_faces_unknown(make_guard, monkeypatch):
    _, cam, describe, got = describing(make_guard)
    monkeypatch.setattr(cam, "remember", lambda *_: (_ for _ in ()).throw(guard.GuardFault("no memory")))
    with cam.frame(SEEN, at=START) as seen, pytest.raises(guard.GuardFault, match="no memory"):
        describe(SEEN)
    assert seen.known is None
    assert not got


def test_the_memory_of_calls_is_as_long_as_that_of_clips():
    assert FACE_MEMORY_S == HOLD_S


def test_an_encoded_or_scaled_copy_of_the_frame_is_covered_too(make_guard):
    _, cam, describe, got = describing(make_guard)
    small = cv2.resize(MISSED, (80, 60))
    url = "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", small)[1].tobytes()).decode()
    with cam.frame(SEEN, at=START):
        describe(SEEN)
    with cam.frame(MISSED, at=START + timedelta(seconds=0.1)):
        describe(url)
        describe(np.ascontiguousarray(MISSED[:60]))
        describe(np.ascontiguousarray(MISSED // 3))
    sent = cv2.imdecode(np.frombuffer(base64.b64decode(got[1].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert not sent[15:40, 20:40].any()
    assert sent[:10, :10].all()
    assert got[2].all()  # neither a crop nor another picture is a copy: only what is seen in it is covered
    assert got[3].all()


def test_a_filter_that_redacts_remembers(make_guard):
    g, cam, _, _ = describing(make_guard)
    judging = FrameFilter(cam, mode="redact")
    judging.judge(SEEN, at=START)
    assert not judging.judge(MISSED, at=START + timedelta(seconds=0.1))[INSIDE].any()


def test_another_source_does_not_share_the_memory(make_guard):
    other = POLICE[POLICE.index("[[source]]") :].replace('"bodycam"', '"other"')
    g = make_guard(POLICE + other, detector=FakeDetector(bright))
    got: list[Any] = []
    for id, frame in [("bodycam", SEEN), ("other", MISSED)]:
        cam = g.source(id)
        describe = cam.protect(got.append, service="azure_openai")
        with cam.frame(frame, at=START):
            describe(frame)
    assert np.array_equal(got[1], MISSED)


def test_memory_does_not_free_an_identity_call(make_guard):
    g, cam, _, _ = describing(make_guard)
    search = cam.protect(lambda frame: "somebody", action="identify", service="azure_openai")
    for frame in (SEEN, MISSED):
        with cam.frame(frame), pytest.raises(guard.Denied):
            search(frame)


_COORDINATE = st.floats(0, 150, width=32)
_SIDE = st.floats(1, 60, width=32)
_BOXES = st.lists(st.tuples(_COORDINATE, _COORDINATE, _SIDE, _SIDE), max_size=4)


@settings(deadline=None)
@given(
    frames=st.lists(_BOXES, min_size=1, max_size=8),
    steps_s=st.lists(st.floats(-1, 2), min_size=8, max_size=8),
    hold_s=st.sampled_from([0.0, 0.3, 5.0]),
)
def test_whatever_is_detected_is_covered_in_the_frame_and_in_its_copies(frames, steps_s, hold_s):
    remembering = Remembering(hold_s)
    at_s = 0.0
    for boxes, step_s in zip(frames, steps_s, strict=False):
        at_s += step_s
        raw = faces(*[(x, y, x + w, y + h) for x, y, w, h in boxes])
        covered = remembering.see(raw, SCENE, at_s, stamped=False)
        np.testing.assert_array_equal(covered.boxes[: len(raw)], raw.boxes)
        copy = carried_over(covered, SCENE, raw, SCENE)
        np.testing.assert_array_equal(copy.boxes[: len(raw)], raw.boxes)
        for box in covered.boxes[len(raw) :].tolist():
            assert box in copy.boxes.tolist()
