"""The eyes on a feed: what they see holds for the frames that follow, costs a call nothing, and fails closed."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from statistics import median

import numpy as np
import pytest

import guard
from guard.context.camera import Camera
from guard.context.makers import MOBILE
from guard.context.standing import Context
from guard.context.watch import Watch
from guard.facts import Facts
from guard.testing import FakeDetector
from tests.conftest import OFFICE, POLICE
from tests.vision.test_motion import hand, wall

FIXED = Facts.parse({"capture": {"mount": "fixed"}})
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def eyes(facts: Facts = FIXED, **camera) -> Watch:
    return Watch(Context("cam", facts), Camera(**camera), 1.0)


def show(watch: Watch, shown, seconds: float, start: int = 0) -> None:
    for number in range(start, start + round(seconds * 5)):
        watch.sample(shown(number), number / 5)


def context_of(watch: Watch) -> Context:
    return watch._context


def test_a_fixed_camera_that_moves_could_be_any_mobile_one():
    watch = eyes()
    show(watch, hand, 3.0)
    assert context_of(watch).effective.known("capture.mount") == {"fixed", *MOBILE}
    finding = context_of(watch).findings["capture.mount"]
    assert finding.verdict == "contradicted"
    assert "corners stayed where they were" in finding.evidence


def test_an_upload_of_unknown_origin_that_moves_could_be_any_mobile_one():
    watch = eyes(Facts.parse({"capture": {"mount": "file"}}))
    show(watch, hand, 3.0)
    assert context_of(watch).effective.known("capture.mount") == {"file", *MOBILE}


def test_a_fixed_camera_that_stands_still_agrees():
    watch = eyes()
    show(watch, wall, 3.0)
    assert context_of(watch).findings["capture.mount"].verdict == "agrees"
    assert context_of(watch).effective is FIXED


@pytest.mark.parametrize("mount", MOBILE)
def test_a_mobile_camera_may_move_and_may_stand_still(mount):
    facts = Facts.parse({"capture": {"mount": mount}})
    for shown, verdict in ((hand, "agrees"), (wall, "cannot-tell")):
        watch = eyes(facts)
        show(watch, shown, 3.0)
        assert context_of(watch).findings["capture.mount"].verdict == verdict
        assert context_of(watch).effective is facts


def test_a_declared_tour_of_presets_is_no_contradiction():
    watch = eyes(ptz=True)
    show(watch, hand, 10.0)
    assert context_of(watch).effective is FIXED


@pytest.mark.parametrize("stage", ["thumbnail", "unfit"])
def test_eyes_that_break_are_no_permission(monkeypatch, stage):
    watch = eyes()

    def broken(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(f"guard.context.watch.{stage}", broken)
    watch.leave(wall(0))
    assert "the watch over this feed failed: MemoryError: no room" in watch.fault
    assert context_of(watch).effective.known("capture.mount") is None


def test_about_five_frames_a_second_are_looked_at(monkeypatch):
    watch = eyes()
    taken = []
    monkeypatch.setattr(Watch, "sample", lambda self, image, at_s: taken.append(at_s))
    for number in range(300):
        watch.clip_s = number / 30
        watch.leave(wall(0))
    assert len(taken) in (49, 50, 51)
    assert np.allclose(np.diff(taken), 0.2, atol=0.04)


def test_a_slow_feed_is_looked_at_frame_by_frame_and_a_clip_that_starts_over_goes_on(monkeypatch):
    watch = eyes()
    taken = []
    monkeypatch.setattr(Watch, "sample", lambda self, image, at_s: taken.append(at_s))
    for at_s in (0.0, 1.0, 2.0, 50.0, 0.0, 1.0):
        watch.clip_s = at_s
        watch.leave(wall(0))
    assert taken == [0.0, 1.0, 2.0, 50.0, 0.0, 1.0]


def test_a_frame_that_is_not_looked_at_costs_a_look_at_the_clock():
    """Less than a tenth of what one that is costs: in one run, so that the machine does not matter."""
    watch, picture = eyes(), np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), np.uint8)

    def timed(call) -> float:
        times = []
        for _ in range(30):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return median(times)

    watch.leave(picture)
    assert timed(lambda: watch.leave(picture)) * 10 < timed(lambda: watch.sample(picture, time.monotonic()))


# ---- what cannot be judged


def frames(cam, pictures, **options):
    for picture in pictures:
        with cam.frame(picture, **options) as seen:
            yield seen


def test_a_black_picture_is_not_a_picture_without_faces(make_guard):
    g = make_guard(POLICE, detector=FakeDetector([]))
    cam, sent = g.source(), []
    describe = cam.protect(sent.append, service="openai")
    black = np.zeros((120, 160, 3), np.uint8)
    with cam.frame(black) as seen:
        with pytest.raises(guard.GuardFault, match="the picture is black"):
            describe(black)
        with pytest.raises(guard.GuardFault, match="the picture is black"):
            seen.faces  # noqa: B018
    assert sent == []
    assert g.ledger.verdicts() == ["fault"]
    assert g.ledger.entries[0].decision.faces is None


def test_an_identity_call_on_such_a_frame_stays_denied_by_its_rules(make_guard):
    g = make_guard(POLICE)
    call = g.source().protect(lambda image: None, action="identify", service="azure_openai")
    black = np.zeros((120, 160, 3), np.uint8)
    for _ in range(2):
        with g.source().frame(black), pytest.raises(guard.Denied) as denied:
            call(black)
    assert denied.value.decision.reasons
    assert g.ledger.verdicts() == ["deny", "deny"]


def test_an_allowed_call_is_a_fault_once_its_feed_went_black(make_guard, picture):
    g, reached = make_guard(OFFICE), []
    cam = g.source()
    call = cam.protect(reached.append, action="identify", service="my-matcher")
    black = np.zeros_like(picture)
    with cam.frame(picture):
        call(picture)
    cam.watch.sample(black, 1.0)
    with cam.frame(black), pytest.raises(guard.GuardFault, match="the picture is black"):
        call(black)
    cam.watch.sample(picture, 2.0)
    with cam.frame(picture):
        call(picture)
    assert len(reached) == 2


def test_a_frozen_feed_cannot_be_judged(make_guard, picture):
    cam = make_guard(OFFICE.replace('id = "door"', 'id = "door"\ncamera = { frozen_s = 5 }')).source()
    for at_s in range(7):
        cam.watch.sample(picture, float(at_s))
    with cam.frame(picture) as seen:
        assert seen.fault == "the feed is frozen: the same picture for 6 s"
        assert seen.known is None


def test_an_upload_may_be_handed_in_twice(make_guard, picture):
    cam = make_guard(OFFICE.replace('mount = "fixed"', 'mount = "file"')).source()
    for at_s in range(60):
        cam.watch.sample(picture, float(at_s))
    assert cam.watch.fault is None


def test_another_size_than_declared_cannot_be_judged(make_guard, picture):
    cam = make_guard(OFFICE.replace('id = "door"', 'id = "door"\ncamera = { size = [160, 120] }')).source()
    with cam.frame(picture) as seen:
        assert seen.fault is None
    with cam.frame(np.ascontiguousarray(picture[:, :100])) as seen:
        assert seen.fault == "the picture is 100 x 120, and 160 x 120 are declared"


def test_time_stamps_that_run_backwards_cannot_be_judged(make_guard, picture):
    cam = make_guard(OFFICE).source()
    found = []
    for second in (0, 1, 2, 1, 2, 3):
        with cam.frame(picture, at=NOW + timedelta(seconds=second)) as seen:
            found.append(seen.fault)
    assert found == [None, None, None, "the feed's time stamps run backwards, by 1 s", None, None]


def test_time_stamps_that_stand_still_cannot_be_judged():
    watch = eyes()
    found = []
    for number in range(40):
        watch.clip_s = number / 10
        found.append(watch.enter(wall(0), NOW))
    assert found[:21] == [None] * 21
    assert found[-1] == "the feed's time stamps have stood still for 4 s"
    watch.clip_s = 4.0
    assert watch.enter(wall(0), NOW + timedelta(seconds=1)) is None


@pytest.mark.parametrize(("fps", "fits"), [(25, True), (18, True), (8, False), (60, False)])
def test_another_rate_than_declared_cannot_be_judged(fps, fits):
    watch = eyes(fps=25.0)
    found = None
    for number in range(round(25 * fps)):
        watch.clip_s = number / fps
        found = watch.enter(wall(0), None)
    assert (found is None) is fits
    if not fits:
        assert found == f"{fps:.1f} frames a second come, and 25 are declared"


def test_a_live_frame_older_or_younger_than_the_limit_cannot_be_judged(make_guard, picture):
    cam = make_guard(POLICE.replace('id = "bodycam"', 'id = "bodycam"\ncamera = { live = true }')).source()
    now = datetime.now(UTC)
    with cam.frame(picture, at=now - timedelta(seconds=30)) as seen:
        assert "the feed is late: this frame was taken 30." in seen.fault
    with cam.frame(picture, at=now + timedelta(seconds=60)) as seen:
        assert re.search(r"ahead of its time: this frame is said to be taken [56]\d\.\d s from now", seen.fault)
    cam.watch.begin_again()
    with cam.frame(picture, at=now) as seen:
        assert seen.fault is None


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ("{ size = 3 }", "camera.size"),
        ("{ size = [0, 4] }", "camera.size"),
        ("{ fps = 0 }", "camera.fps"),
        ('{ ptz = "yes" }', "camera.ptz"),
        ("{ pzt = true }", "camera.pzt"),
        ("{ frozen_s = 0 }", "camera.frozen_s"),
        ("3", "camera"),
    ],
)
def test_what_is_said_of_a_camera_is_read_strictly(make_guard, said, where):
    with pytest.raises(guard.ConfigError, match=where):
        make_guard(OFFICE.replace('id = "door"', f'id = "door"\ncamera = {said}'))


def test_importing_guard_loads_no_eyes():
    import subprocess
    import sys

    code = "import sys, guard; print([m for m in ('numpy', 'cv2', 'guard.context.watch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
