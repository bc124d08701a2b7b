"""Under `guard.install()` a source that takes frames of a camera or a stream is live, one that plays a file is not."""

from __future__ import annotations

import gc
import queue
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.context import captures
from guard.gate import Call
from guard.integrations.filters import guard_frames
from guard.testing import MemoryLedger
from tests.conftest import OFFICE

POST_EVENT = OFFICE.replace("real_time", "post_event")
DECLARED = {"post_event"}
AT_ONCE = {"post_event", "real_time", "near_real_time"}
SIZE = (160, 120)


def noise(number: int = 0) -> np.ndarray:
    return np.random.default_rng(number).integers(1, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


class Device:
    """Stands for `cv2.VideoCapture`; `counted` is how many frames anything says that it has."""

    counted = -1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.taken = 0
        if args or kwargs:
            self.open(*args, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def get(self, wanted: int) -> float:
        return type(self).counted if wanted == cv2.CAP_PROP_FRAME_COUNT else 0.0

    def grab(self) -> bool:
        return True

    def read(self, image: Any = None) -> tuple[bool, Any]:
        self.taken += 1
        if image is None:
            return True, noise(self.taken)
        image[...] = noise(self.taken)
        return True, image

    def retrieve(self, image: Any = None, flag: int = 0) -> tuple[bool, Any]:
        return self.read(image)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    yield
    guard.uninstall()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> type[Device]:
    """`cv2.VideoCapture` is a `Device`, under the hooks."""
    made = type("Device", (Device,), dict(vars(Device)))
    monkeypatch.setattr(cv2, "VideoCapture", made)
    guard.install("opencv")
    return made


@pytest.fixture
def door(make_guard):
    return make_guard(POST_EVENT).source()


@pytest.fixture
def clip(tmp_path: Path) -> str:
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, SIZE)
    for number in range(6):
        writer.write(noise(number))
    writer.release()
    return path


@contextmanager
def camera_on_the_network():
    """The address of a stream of pictures that has no end, on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with suppress(OSError):
                for number in range(500):
                    data = cv2.imencode(".jpg", noise(number % 7))[1].tobytes()
                    self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream.mjpg"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def timing(cam, image, *, given=None, **options) -> set[str]:
    """By which `use.timing` a call is judged in a frame of this picture."""
    call = cam.protect(lambda picture: None, action="identify", service="my-matcher")
    with cam.frame(image, **options) as frame, suppress(guard.GuardError):
        call(image if given is None else given)
    return set(frame.decisions[-1].facts.known("use.timing"))


def timing_outside(cam, *given) -> set[str]:
    """The same of a call that is made outside of every frame."""
    call = cam.protect(lambda *pictures: None, action="identify", service="my-matcher")
    ledger: MemoryLedger = cam.guard.ledger
    with suppress(guard.Denied):
        call(*given)
    return set(ledger.entries[-1].decision.facts.known("use.timing"))


def taken(capture) -> np.ndarray:
    good, image = capture.read()
    assert good
    return image


# ---- what is live

OPENED = {
    "a camera's number": (lambda: cv2.VideoCapture(0), 900.0),
    "by keyword": (lambda: cv2.VideoCapture(index=0), 900.0),
    "a camera's number of numpy's": (lambda: cv2.VideoCapture(np.int64(0)), 900.0),
    "a device": (lambda: cv2.VideoCapture("/dev/video0"), -1.0),
    "an RTSP address, whatever it counts": (lambda: cv2.VideoCapture("rtsp://127.0.0.1/door"), 900.0),
    "an address by keyword": (lambda: cv2.VideoCapture(filename="RTSP://127.0.0.1/door"), 900.0),
    "a web camera": (lambda: cv2.VideoCapture("http://127.0.0.1/stream.mjpg"), -2.1e17),
    "a pipeline": (lambda: cv2.VideoCapture("videotestsrc is-live=true ! appsink", cv2.CAP_GSTREAMER), -1.0),
    "a pipe": (lambda: cv2.VideoCapture("pipe:0"), -2.1e17),
}


@pytest.mark.parametrize("way", OPENED)
def test_a_source_that_takes_frames_of_a_camera_or_a_stream_is_live(device, door, way):
    opened, device.counted = OPENED[way]
    assert timing(door, taken(opened())) == AT_ONCE
    assert door.context.live
    assert door.context.findings["use.timing"].evidence == "its pictures are taken now"
    assert timing(door, noise(99), at=datetime.now(UTC) - timedelta(days=9)) == AT_ONCE


def test_the_first_frame_is_enough_whatever_is_called_in_it(device, door):
    with door.frame(taken(cv2.VideoCapture(0))):
        assert door.context.live
        assert door.authorize("identify", "my-matcher").facts.known("use.timing") == AT_ONCE


@pytest.mark.parametrize(
    "name",
    ["clip.mp4", "file:///clip.mp4", "https://127.0.0.1/clip.mp4", "filesrc location=clip.mp4 ! decodebin ! appsink"],
)
def test_what_has_an_end_is_not(device, door, name):
    device.counted = 900.0
    capture = cv2.VideoCapture(name)
    assert timing(door, taken(capture)) == DECLARED
    assert not door.context.live


def test_a_capture_opened_anew_is_what_it_was_opened_on_last(device, door):
    device.counted = 900.0
    capture = cv2.VideoCapture(0)
    capture.open("clip.mp4")
    assert timing(door, taken(capture)) == DECLARED
    capture.open(0)
    assert timing(door, taken(capture)) == AT_ONCE


def test_a_capture_is_not_taken_for_an_earlier_one_that_lay_in_the_same_place(device, door):
    device.counted = 900.0
    for _ in range(50):
        cv2.VideoCapture(0)
    gc.collect()
    assert timing(door, taken(cv2.VideoCapture("clip.mp4"))) == DECLARED


def test_a_capture_that_cannot_say_is_live(device, door, monkeypatch):
    def broken(self, wanted):
        raise cv2.error("no such property")

    monkeypatch.setattr(device, "get", broken)
    assert timing(door, taken(cv2.VideoCapture("clip.mp4"))) == AT_ONCE


def test_a_filter_over_a_capture_that_was_opened_on_a_camera_is_live(device, door):
    device.counted = 900.0
    next(guard_frames(cv2.VideoCapture(0), door, action="identify", service="my-matcher"), None)
    assert door.context.live


def test_a_refused_read_says_nothing(device, door, monkeypatch):
    capture = cv2.VideoCapture(0)
    guard.uninstall()
    monkeypatch.setattr(device, "read", lambda self: (False, None))
    guard.install("opencv")
    capture.read()
    assert not captures.any_live()


# ---- pictures on their way


WAYS = {
    "itself": lambda capture: capture.read()[1],
    "a crop": lambda capture: capture.read()[1][10:90, 20:120],
    "turned": lambda capture: capture.read()[1][:, ::-1],
    "retrieved": lambda capture: (capture.grab(), capture.retrieve()[1])[1],
    "into an array that was given": lambda capture: read_into(capture, np.empty((120, 160, 3), np.uint8)),
}


def read_into(capture, image: np.ndarray) -> np.ndarray:
    capture.read(image)
    return image


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("live", [True, False])
def test_a_picture_is_known_by_its_array_and_by_views_of_it(device, door, way, live):
    device.counted = -1.0 if live else 900.0
    image = WAYS[way](cv2.VideoCapture("feed"))
    assert captures.origin(image) == ("live" if live else "recorded")
    assert timing(door, image) == (AT_ONCE if live else DECLARED)


def test_a_copy_may_be_of_the_camera_that_is_read_unless_its_frame_says_when_it_was_taken(device, door):
    assert timing(door, noise()) == DECLARED
    image = taken(cv2.VideoCapture(0))
    assert timing(door, cv2.resize(image, None, fx=2, fy=2)) == AT_ONCE
    assert timing(door, image.copy(), at=datetime.now(UTC) - timedelta(days=9)) == DECLARED
    assert not door.context.live
    assert door.guard.ledger.entries[0].captured_ns is None


def test_a_copy_that_waited_longer_than_the_limit_is_none_of_now(device, make_guard, monkeypatch):
    cam = make_guard("[policy]\nnear_real_time_s = 5\n" + POST_EVENT).source()
    taken(cv2.VideoCapture(0))
    now_ns = time.monotonic_ns()
    monkeypatch.setattr(captures.time, "monotonic_ns", lambda: now_ns + 4 * 10**9)
    assert timing(cam, noise()) == AT_ONCE
    monkeypatch.setattr(captures.time, "monotonic_ns", lambda: now_ns + 6 * 10**9)
    assert timing(cam, noise()) == DECLARED


def test_a_recording_beside_a_camera_stays_one(device, make_guard):
    head, one, tail = POST_EVENT.partition("[[source]]")
    other, services, names = tail.partition("[services]")
    g = make_guard(head + one + other + one + other.replace("door", "file") + services + names)
    live, file = g.source("door"), g.source("file")
    camera = cv2.VideoCapture(0)
    pictures = [taken(camera)]
    device.counted = 900.0
    pictures.append(taken(cv2.VideoCapture("clip.mp4")))
    assert [timing(live, pictures[0]), timing(file, pictures[1])] == [AT_ONCE, DECLARED]
    assert (live.context.live, file.context.live) == (True, False)


def test_a_reader_in_a_thread_of_its_own(device, door):
    handed: queue.Queue[np.ndarray] = queue.Queue()
    capture = cv2.VideoCapture("rtsp://127.0.0.1/door")
    reader = threading.Thread(target=lambda: [handed.put(taken(capture)) for _ in range(3)])
    reader.start()
    reader.join(10)
    assert [timing(door, handed.get(timeout=5)) for _ in range(3)] == [AT_ONCE] * 3


def test_a_call_outside_of_every_frame_is_judged_by_the_pictures_that_it_gets(device, door):
    device.counted = 900.0
    recorded = taken(cv2.VideoCapture("clip.mp4"))
    camera = cv2.VideoCapture(0)
    image = taken(camera)
    assert timing_outside(door, recorded) == DECLARED
    assert timing_outside(door, recorded, noise()) == AT_ONCE
    assert timing_outside(door, "a vector") == AT_ONCE
    assert not door.context.live
    assert timing_outside(door, [recorded, {"picture": image[:50]}]) == AT_ONCE
    assert door.context.live


def test_a_live_picture_in_the_frame_of_a_recording(device, door):
    device.counted = 900.0
    recorded = taken(cv2.VideoCapture("clip.mp4"))
    assert timing(door, recorded, given=taken(cv2.VideoCapture(0))) == AT_ONCE


def test_more_arguments_than_can_be_looked_through_may_hold_one(door):
    call = Call(door, ("identify",), "self_hosted", ([[0.5]] * 30_000,), {})
    assert call._origins() == {"live"}


def test_a_camera_that_begins_while_a_call_is_judged_has_it_judged_again(device, make_guard):
    class OnRelease(MemoryLedger):
        then: Any = None

        def record(self, entry):
            super().record(entry)
            if entry.released and self.then:
                self.then()

    ledger = OnRelease()
    cam = make_guard(POST_EVENT, ledger=ledger).source()
    ledger.then = lambda: taken(cv2.VideoCapture(0))
    assert timing(cam, noise()) == AT_ONCE


def test_nothing_is_kept_of_a_picture_that_is_gone(device):
    capture = cv2.VideoCapture(0)
    for _ in range(20):
        taken(capture)
    gc.collect()
    assert len(captures._origins) == 0


def test_without_the_hooks_nothing_is_marked(device, door):
    image = taken(cv2.VideoCapture(0))
    guard.uninstall()
    assert captures.origin(image) is None
    assert timing(door, image) == DECLARED


# ---- OpenCV's own


def test_a_file_that_opencv_reads(clip, door):
    guard.install("opencv")
    capture = cv2.VideoCapture(clip)
    try:
        assert [timing(door, taken(capture)) for _ in range(3)] == [DECLARED] * 3
        given = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
        assert captures.origin(capture.read(given)[1]) == captures.origin(given) == "recorded"
    finally:
        capture.release()


def test_a_stream_that_opencv_reads(door):
    guard.install("opencv")
    with camera_on_the_network() as address:
        capture = cv2.VideoCapture(address)
        try:
            if not capture.isOpened():
                pytest.skip("this build of OpenCV opens no addresses")
            assert timing(door, taken(capture)) == AT_ONCE
        finally:
            capture.release()
    assert door.context.live


def test_a_capture_that_was_made_before_the_hooks(clip, door):
    capture = cv2.VideoCapture(clip)
    guard.install("opencv")
    try:
        assert timing(door, taken(capture)) == DECLARED
    finally:
        capture.release()


def test_the_hooks_come_with_every_choice_of_libraries():
    guard.install("requests")
    assert "captures" in [coverage.name for coverage in guard.verify()]
    assert hasattr(cv2.VideoCapture.read, "__wrapped__")
    guard.uninstall()
    assert not hasattr(cv2.VideoCapture.read, "__wrapped__")
