"""Reading clips: what comes, in which order, at which time, and what is said when it does not come."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from guard.errors import SourceError
from guard.replay import camera as camera_module
from guard.replay.clip import BrokeOff, Frame, open_clip, printable
from tests.replay.conftest import TURNS, MakeClip, picture_of, shade, turn_clip


def read(clip: Any) -> list[Frame]:
    try:
        return list(clip.frames())
    finally:
        clip.close()


def read_until_it_breaks(clip: Any) -> tuple[list[Frame], BrokeOff]:
    frames: list[Frame] = []
    try:
        for frame in clip.frames():
            frames.append(frame)  # noqa: PERF402 - what came before the error counts
    except BrokeOff as error:
        return frames, error
    finally:
        clip.close()
    raise AssertionError("the clip did not break off")


def cut(path: Path, part: float) -> Path:
    """The first `part` of a file, under another name."""
    whole = path.read_bytes()
    short = path.with_name(f"cut{path.suffix}")
    short.write_bytes(whole[: int(len(whole) * part)])
    return short


# ---- files


def test_frames_come_in_order_with_index_time_and_picture(make_clip: MakeClip):
    frames = read(open_clip(make_clip(frames=10)))
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.seconds for frame in frames] == pytest.approx([index / 25 for index in range(10)])
    for frame in frames:
        assert frame.image.shape == (120, 160, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert abs(int(frame.image[60, 40, 0]) - shade(frame.index)) < 8


def test_uneven_time_stamps_are_kept(make_clip: MakeClip):
    pts = [0, 1, 5, 6, 30, 31, 90]
    frames = read(open_clip(make_clip(frames=7, pts=pts, time_base=Fraction(1, 30))))
    assert [round(frame.seconds * 30) for frame in frames] == pts


def test_a_clip_that_starts_late_starts_at_zero(make_clip: MakeClip):
    pts = [90_000 * 10 + 3600 * index for index in range(5)]
    frames = read(open_clip(make_clip("late.ts", frames=5, pts=pts, time_base=Fraction(1, 90_000))))
    assert [frame.seconds for frame in frames] == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


@pytest.mark.parametrize("size", [(161, 121), (17, 13), (2, 2)])
def test_odd_sizes_are_read_as_they_are(make_clip: MakeClip, size: tuple[int, int]):
    (frame, *_) = read(open_clip(make_clip(size=size, frames=2)))
    assert frame.image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_recording_is_turned_upright(make_clip: MakeClip, turn: int | str):
    path = make_clip(size=(160, 96))
    turn_clip(path, turn)
    clip = open_clip(path)
    frame = next(clip.frames())
    stored = picture_of(0, 160, 96)
    wanted = stored[:, ::-1] if turn == "mirrored" else np.rot90(stored, -int(turn) // 90)
    assert frame.image.shape == wanted.shape
    assert np.abs(frame.image.astype(int) - wanted).mean() < 4
    clip.close()


def test_the_capture_instant_is_the_creation_time_plus_the_time_stamp(make_clip: MakeClip):
    frames = read(open_clip(make_clip(metadata={"creation_time": "2025-03-04T10:00:00Z"})))
    assert frames[0].captured == datetime(2025, 3, 4, 10, tzinfo=UTC)
    assert frames[5].captured == datetime(2025, 3, 4, 10, 0, 0, 200_000, tzinfo=UTC)


@pytest.mark.parametrize("stamp", [None, "1970-01-01T00:00:00Z", "1904-01-01T00:00:00Z"])
def test_a_recorder_without_a_clock_leaves_the_capture_instant_unknown(make_clip: MakeClip, stamp: str | None):
    frames = read(open_clip(make_clip(metadata={} if stamp is None else {"creation_time": stamp})))
    assert frames[0].captured is None


def test_sound_goes_past_untouched(make_clip: MakeClip):
    path = make_clip(frames=25, sound="aac")
    with av.open(str(path)) as container:
        wanted = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    clip = open_clip(path)
    heard: list[Any] = []
    list(clip.frames(heard.append))
    clip.close()
    assert [bytes(packet) for packet in heard] == wanted


# ---- clips that break off


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_a_cut_clip_yields_what_it_can_and_says_that_it_broke_off(make_clip: MakeClip, name: str):
    options = {"movflags": "+faststart"} if name.endswith("mp4") else None
    clip = open_clip(cut(make_clip(name, frames=60, size=(320, 240), options=options, codec="mpeg4"), 0.6))
    frames, error = read_until_it_breaks(clip)
    assert 10 < len(frames) < 60
    assert "broke off" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.avi", "clip.ts", "clip.webm"])
def test_a_whole_clip_is_not_said_to_have_broken_off(make_clip: MakeClip, name: str):
    codec = "libvpx" if name.endswith("webm") else "libx264"
    assert len(read(open_clip(make_clip(name, frames=12, codec=codec)))) == 12


def test_a_fragmented_recording_cut_short_is_noticed(make_clip: MakeClip):
    options = {"movflags": "frag_keyframe+empty_moov", "g": "5"}
    clip = open_clip(cut(make_clip(frames=60, size=(320, 240), options=options), 0.93))
    with pytest.raises(BrokeOff):
        list(clip.frames())
    clip.close()


def test_damage_in_the_middle_is_reported_and_the_rest_is_read(make_clip: MakeClip):
    path = make_clip(frames=60, size=(320, 240), options={"movflags": "+faststart"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + len(data[data.index(b"mdat") :]) // 2
    data[start : start + 400] = b"\xff" * 400
    path.write_bytes(data)
    clip = open_clip(path)
    frames, error = read_until_it_breaks(clip)
    assert "damaged" in str(error)
    assert len(frames) > 20


# ---- what cannot be read


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "empty"), (b"no video, only words\n" * 50, "cannot be opened"), (b"\0" * 5000, "cannot be opened")],
)
def test_what_is_no_clip_is_one_line(tmp_path: Path, content: bytes, what: str):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=what) as error:
        read(open_clip(path))
    assert "\n" not in str(error.value)
    assert "clip.mp4" in str(error.value)


def test_a_recording_without_its_index_cannot_be_opened(make_clip: MakeClip):
    with pytest.raises(SourceError, match="before its index"):
        open_clip(cut(make_clip(frames=30), 0.5))


def test_a_link_that_leads_nowhere_is_named_as_one(tmp_path):
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nothing.mp4")
    with pytest.raises(SourceError, match="a link that leads nowhere"):
        open_clip(tmp_path / "link.mp4")


def test_a_missing_clip_suggests_the_one_that_was_meant(make_clip: MakeClip):
    path = make_clip("bodycam.mp4")
    with pytest.raises(SourceError, match=r"no such clip.*did you mean .*bodycam\.mp4"):
        open_clip(path.with_name("bodycan.mp4"))


def test_a_file_with_sound_only_is_refused(tmp_path: Path):
    path = tmp_path / "tone.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        tone.rate = 48000
        output.mux(stream.encode(tone))
        output.mux(stream.encode(None))
    with pytest.raises(SourceError, match="no video"):
        open_clip(path)


def test_a_name_that_looks_like_a_protocol_is_read_as_a_file(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch):
    path = make_clip("concat:a.mp4")
    monkeypatch.chdir(path.parent)
    assert len(read(open_clip("concat:a.mp4"))) == 12


# ---- folders


def test_a_folder_is_read_by_number(tmp_path: Path):
    for index in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"frame{index}.png"), picture_of(index, 40, 30))
    (tmp_path / "notes.txt").write_text("no picture")
    frames = read(open_clip(tmp_path))
    assert [int(frame.image[20, 10, 0]) for frame in frames] == [shade(1), shade(2), shade(10)]
    assert [frame.seconds for frame in frames] == pytest.approx([0.0, 0.2, 0.4])


def test_one_picture_is_a_clip_of_one_frame(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "still.png"), picture_of(0, 40, 30))
    assert len(read(open_clip(tmp_path / "still.png"))) == 1


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(SourceError, match="no picture"):
        open_clip(tmp_path)


def test_a_folder_with_a_broken_picture_says_which(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), picture_of(0, 40, 30))
    (tmp_path / "b.png").write_bytes(b"\x89PNG but no more")
    clip = open_clip(tmp_path)
    frames = clip.frames()
    assert next(frames).index == 0
    with pytest.raises(BrokeOff, match=r"1 of 2 pictures .*b\.png"):
        next(frames)


# ---- cameras


class FakeCamera:
    """Stands for `cv2.VideoCapture`: three frames, then what `after` says."""

    def __init__(self, after: str) -> None:
        self.after = after
        self.given = 0
        self.released = False
        self.hang = threading.Event()

    def isOpened(self) -> bool:
        return True

    def get(self, what: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, Any]:
        self.given += 1
        if self.given > 3:
            if self.after == "hangs":
                self.hang.wait(20)
            return False, None
        return True, picture_of(self.given, 40, 30)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def fake_camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[FakeCamera] = []

    def plug_in(after: str) -> FakeCamera:
        device = FakeCamera(after)
        made.append(device)
        monkeypatch.setattr(camera_module.cv2, "VideoCapture", lambda number: device)
        monkeypatch.setattr(camera_module.Path, "exists", lambda path: True)
        return device

    yield plug_in
    for device in made:
        device.hang.set()


def test_a_camera_that_is_pulled_out_breaks_off(fake_camera: Any):
    device = fake_camera("ends")
    clip = open_clip("/dev/video0")
    frames, error = read_until_it_breaks(clip)
    assert "stopped giving frames" in str(error)
    assert clip.live
    assert len(frames) == 3
    assert frames[0].captured is not None
    assert device.released


def test_a_camera_that_hangs_is_not_waited_for(fake_camera: Any):
    device = fake_camera("hangs")
    clip = open_clip("/dev/video0", patience_s=0.3)
    started = time.monotonic()
    with pytest.raises(BrokeOff, match=r"no frame for 0\.3 s"):
        list(clip.frames())
    assert time.monotonic() - started < 3
    device.hang.set()
    clip.close()


def test_a_camera_that_is_not_there_is_one_line():
    with pytest.raises(SourceError, match="no such camera"):
        open_clip("/dev/video97")


# ---- addresses and pipes


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which somebody takes the call and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_closed_port_fails_at_once(scheme: str):
    started = time.monotonic()
    with pytest.raises(SourceError, match="refused"):
        open_clip(f"{scheme}://127.0.0.1:{closed_port()}/stream")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_silent_address_is_given_up(scheme: str, silent_port: int):
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"time|answer"):
        open_clip(f"{scheme}://127.0.0.1:{silent_port}/stream", patience_s=0.5)
    assert time.monotonic() - started < 5


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SourceError, match="no video within"):
        open_clip(pipe, patience_s=0.3)
    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # lets the reader's thread go


def test_a_pipe_is_a_clip(make_clip: MakeClip, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = make_clip("clip.ts", frames=10).read_bytes()
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    frames = read(open_clip(pipe, patience_s=5))
    writer.join()
    assert len(frames) == 10


def test_a_clip_on_a_web_server_is_read_with_its_sound(make_clip: MakeClip):
    data = make_clip(frames=25, sound="aac", options={"movflags": "+faststart"}).read_bytes()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        clip = open_clip(f"http://user:secret@127.0.0.1:{server.server_port}/clip.mp4?token=1", patience_s=5)
        heard: list[Any] = []
        frames = list(clip.frames(heard.append))
        clip.close()
        server.shutdown()
    assert len(frames) == 25
    assert heard
    assert "secret" not in clip.name
    assert "token" not in clip.name


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:pw@10.0.0.5:554/live", "rtsp://***@10.0.0.5:554/live"),
        ("http://cam.example/x.m3u8?key=1", "http://cam.example/x.m3u8?..."),
        ("rtsp://cam/1", "rtsp://cam/1"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str):
    assert printable(address) == shown


@contextmanager
def served(body: bytes, kind: str, *, again: int = 1) -> Iterator[str]:
    """The address of something on the web of this machine, which comes `again` so many times, one after the other."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            if again == 1:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                for _ in range(again):
                    self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/clip"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_web_camera_is_live_and_a_file_on_the_web_is_not(make_clip: MakeClip):
    with served(make_clip(frames=10).read_bytes(), "video/mp4") as address, closing(open_clip(address)) as clip:
        assert not clip.live
    picture = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture + b"\r\n"
    kind = "multipart/x-mixed-replace; boundary=frame"
    with served(part, kind, again=500) as address, closing(open_clip(address)) as clip:
        assert clip.live
        assert next(clip.frames()).captured is not None
