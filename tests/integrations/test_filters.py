"""Frames that may not be used do not come out of a filter; each that was tried has one record."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

import guard
from guard.integrations.filters import FrameFilter, guard_frames
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import BOX, OFFICE

LEFT, TOP, RIGHT, BOTTOM = BOX


def frames(number: int = 3) -> list[np.ndarray]:
    made = np.random.default_rng(3)
    return [made.integers(1, 255, (120, 160, 3), dtype=np.uint8) for _ in range(number)]


def video_frames(number: int = 3) -> list[av.VideoFrame]:
    found = []
    for index, pixels in enumerate(frames(number)):
        frame = av.VideoFrame.from_ndarray(pixels, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        found.append(frame)
    return found


class Capture:
    """As `cv2.VideoCapture`: it says how many frames a file has; a camera says 0 or -1, a stream may say nonsense."""

    def __init__(self, images: list[np.ndarray], counted: float = -1.0) -> None:
        self._images = list(images)
        self._counted = counted

    def get(self, wanted: int) -> float:
        return self._counted if wanted == cv2.CAP_PROP_FRAME_COUNT else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self._images.pop(0)) if self._images else (False, None)


def covered(before: np.ndarray, after: np.ndarray) -> bool:
    same_outside = np.array_equal(before[100:], after[100:])
    return same_outside and not np.array_equal(before[TOP:BOTTOM, LEFT:RIGHT], after[TOP:BOTTOM, LEFT:RIGHT])


@pytest.mark.parametrize("make", [frames, video_frames, lambda: Capture(frames())], ids=["arrays", "av", "capture"])
def test_denied_frames_do_not_come_out(make_guard, make):
    g = make_guard()
    assert list(guard_frames(make(), g.source(), action="identify", service="azure_face")) == []
    assert g.ledger.verdicts() == ["deny"] * 3
    assert [entry.decision.frame for entry in g.ledger.entries] == [0, 1, 2]


def test_the_loop_ends_with_the_first_denied_frame_where_that_is_asked_for(make_guard):
    g = make_guard()
    with pytest.raises(guard.Denied):
        list(guard_frames(frames(), g.source(), action="identify", service="azure_face", mode="error"))
    assert g.ledger.verdicts() == ["deny"]


def test_allowed_frames_come_out_as_they_were(make_guard):
    g = make_guard(OFFICE)
    given = frames()
    out = list(guard_frames(given, g.source(), action="identify", service="my-matcher"))
    assert all(one is other for one, other in zip(out, given, strict=True))
    given_video = video_frames()
    out = list(guard_frames(given_video, g.source(), action="identify", service="my-matcher"))
    assert all(one is other for one, other in zip(out, given_video, strict=True))
    assert g.ledger.verdicts() == ["allow"] * 6


@pytest.mark.parametrize(("counted", "live"), [(3.0, False), (-1.0, True), (0.0, True), (-2.1e17, True)])
def test_a_capture_that_is_no_file_is_live_whatever_is_declared(make_guard, counted, live):
    g = make_guard(OFFICE.replace("real_time", "post_event"))
    out = list(guard_frames(Capture(frames(), counted), g.source(), action="identify", service="my-matcher"))
    assert len(out) == 3
    used = {"post_event", "real_time", "near_real_time"} if live else {"post_event"}
    assert [entry.decision.facts.known("use.timing") for entry in g.ledger.entries] == [used] * 3
    assert ("use.timing" in g.source().context.findings) == live


class Container:
    """As an opened container of PyAV."""

    def __init__(self, name: str, duration: int | None) -> None:
        self.name, self.duration = name, duration

    def demux(self, *_: object) -> None:
        raise AssertionError

    def decode(self, video: int) -> list[av.VideoFrame]:
        return video_frames()


@pytest.mark.parametrize(
    ("name", "duration", "live"),
    [
        ("clip.mp4", 120_000, False),
        ("https://127.0.0.1/clip.mp4", 120_000, False),
        ("https://127.0.0.1/live.m3u8", None, True),
        ("rtsp://127.0.0.1/door", None, True),
        ("rtsp://127.0.0.1/door", 120_000, True),
        ("/dev/video0", None, True),
        ("/dev/video0", 0, True),
    ],
)
def test_a_container_that_is_no_file_is_live_whatever_is_declared(make_guard, name, duration, live):
    g = make_guard(OFFICE.replace("real_time", "post_event"))
    out = list(guard_frames(Container(name, duration), g.source(), action="identify", service="my-matcher"))
    assert len(out) == 3
    assert g.source().context.live is live


def test_the_frames_of_a_file_come_out_of_its_container(make_guard, tmp_path):
    with av.open(str(tmp_path / "clip.mp4"), "w") as made:
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for frame in video_frames(5):
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    g = make_guard(OFFICE.replace("real_time", "post_event"))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        out = list(guard_frames(container, g.source(), action="identify", service="my-matcher"))
    assert [type(frame) for frame in out] == [av.VideoFrame] * 5
    assert not g.source().context.live


def test_what_may_go_on_only_redacted_goes_on_redacted(make_guard):
    g = make_guard()
    given = frames()
    out = list(guard_frames(given, g.source(), service="azure_openai"))
    assert all(covered(before, after) for before, after in zip(given, out, strict=True))
    assert np.array_equal(given[0], frames()[0])
    assert g.ledger.verdicts() == ["redact"] * 3


def test_a_video_frame_stays_one_of_its_format_and_time(make_guard):
    (before,) = video_frames(1)
    (after,) = guard_frames([before], make_guard().source(), service="azure_openai")
    assert (after.format.name, after.pts, after.time_base) == ("yuv420p", before.pts, before.time_base)
    pixels = [frame.to_ndarray(format="bgr24")[TOP:BOTTOM, LEFT:RIGHT].astype(int) for frame in (before, after)]
    assert np.abs(pixels[0] - pixels[1]).mean() > 10


def test_every_face_is_covered_in_the_mode_of_that_name(make_guard):
    g = make_guard(OFFICE)
    given = frames(1)
    (after,) = guard_frames(given, g.source(), mode="redact")
    assert covered(given[0], after)
    assert [entry.decision.action for entry in g.ledger.entries] == ["redact"]


@pytest.mark.parametrize("mode", ["drop", "redact"])
def test_a_frame_that_cannot_be_looked_at_does_not_come_out(make_guard, mode, caplog):
    g = make_guard(detector=FakeDetector(error=RuntimeError("broken")))
    assert list(guard_frames(frames(), g.source(), service="azure_openai", mode=mode)) == []
    with pytest.raises(guard.GuardFault):
        list(guard_frames(frames(), g.source(), service="azure_openai", mode="error"))


def test_a_frame_that_cannot_be_recorded_does_not_come_out(make_guard):
    ledger = MemoryLedger()
    ledger.fail = "the disk is full"
    g = make_guard(OFFICE, ledger=ledger)
    assert list(guard_frames(frames(), g.source(), action="identify", service="my-matcher")) == []


def test_what_is_no_frame_ends_the_loop(make_guard):
    with pytest.raises(guard.SourceError):
        list(guard_frames([np.zeros((4, 4, 3), np.float32)], make_guard(OFFICE).source(), mode="redact"))


def test_the_frame_is_not_open_while_it_is_used(make_guard):
    from guard.frames import current_frame

    g = make_guard(OFFICE)
    for _ in guard_frames(frames(), g.source(), action="identify", service="my-matcher"):
        assert current_frame() is None


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "blur"},
        {"action": "identfy"},
        {"service": "nobody", "action": "identify"},
        {"service": "self_hosted"},
        {"action": "identify", "mode": "redact"},
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(make_guard, options):
    with pytest.raises(guard.ConfigError):
        FrameFilter(make_guard().source(), **options)
    with pytest.raises(guard.ConfigError):
        guard_frames([], make_guard().source(), **options)
