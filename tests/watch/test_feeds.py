"""Feeds: paced and looped; one that dies is stalled and opened again."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from guard.errors import SourceError
from guard.replay.clip import Frame
from guard.watch import feeds
from guard.watch.choosing import located
from guard.watch.feeds import Feed
from tests.watch.running import wait_for, write_noise


class Reader:
    """A feed that runs, and what it said."""

    def __init__(self, clip: Path, **options) -> None:
        self.opened: list[str] = []
        self.indices: list[int] = []
        self.at_s: list[float] = []
        self.feed = Feed(str(clip), **options)

    def start(self) -> Reader:
        self.feed.start(lambda clip: self.opened.append(clip.name), self._take)
        return self

    def _take(self, frame: Frame) -> None:
        self.at_s.append(time.monotonic())
        self.indices.append(frame.index)


@pytest.fixture
def start(monkeypatch):
    monkeypatch.setattr(feeds, "_FIRST_RETRY_S", 0.05)
    running: list[Feed] = []

    def begin(clip: Path, **options) -> Reader:
        reader = Reader(clip, **options)
        running.append(reader.feed)
        return reader.start()

    yield begin
    for feed in running:
        feed.stop()
    for feed in running:
        feed.join(10)


def test_a_recording_is_shown_again_and_again(start, tmp_path):
    reader = start(write_noise(tmp_path / "clip.mp4", frames=4))
    wait_for(lambda: len(reader.opened) >= 3)
    assert reader.indices[:8] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_recording_keeps_its_own_pace(start, tmp_path):
    reader = start(write_noise(tmp_path / "clip.mp4", frames=20, rate=20))
    wait_for(lambda: len(reader.indices) >= 11)
    assert reader.at_s[10] - reader.at_s[0] >= 0.45


def test_frames_for_which_there_is_no_use_are_left_out(start, tmp_path):
    reader = start(write_noise(tmp_path / "clip.mp4", frames=20, rate=20), every_s=0.2)
    wait_for(lambda: len(reader.indices) >= 6)
    assert reader.indices[:6] == [0, 1, 2, 3, 4, 0]


def test_a_file_that_vanishes_is_stalled_and_comes_back(start, tmp_path):
    clip = write_noise(tmp_path / "clip.mp4", frames=4)
    (tmp_path / "clip2.mp4").touch()
    reader = start(clip)
    wait_for(lambda: reader.feed.standing().state == "running")
    data = clip.read_bytes()
    clip.unlink()
    wait_for(lambda: "there is no such clip" in (reader.feed.standing().why or ""))
    assert reader.feed.standing().state == "stalled"
    assert "clip2" not in reader.feed.standing().why, "it was no slip of the pen"
    clip.write_bytes(data)
    wait_for(lambda: reader.feed.standing().state == "running")


def test_one_that_gives_no_frame_any_more_is_stalled(monkeypatch, start, tmp_path):
    reader = start(write_noise(tmp_path / "clip.mp4", frames=2, rate=20))
    wait_for(lambda: reader.feed.standing().state == "running")
    reader.feed.stop()
    reader.feed.join(10)
    monkeypatch.setattr(feeds.time, "monotonic", lambda: float("1e9"))
    assert reader.feed.standing().state == "stalled"
    assert "no frame for" in reader.feed.standing().why


def test_whatever_breaks_in_a_feed_is_said_and_tried_again(start, tmp_path, monkeypatch):
    tries = []

    def breaks(clip, **options):
        tries.append(clip)
        raise RuntimeError("secret") if len(tries) == 1 else SourceError("no answer", where="camera")

    monkeypatch.setattr(feeds, "open_clip", breaks)
    reader = start(write_noise(tmp_path / "clip.mp4", frames=2))
    wait_for(lambda: len(tries) >= 2)
    standing = wait_for(lambda: (found := reader.feed.standing()).why == "no answer (camera)" and found)
    assert standing.state == "stalled"


def test_the_wait_before_it_is_tried_again_grows(start, tmp_path, monkeypatch):
    tries = []

    def breaks(clip, **options):
        tries.append(time.monotonic())
        raise SourceError("no answer")

    monkeypatch.setattr(feeds, "open_clip", breaks)
    start(write_noise(tmp_path / "clip.mp4", frames=2))
    wait_for(lambda: len(tries) >= 4)
    waits = [after - before for before, after in pairwise(tries)]
    assert waits[1] >= 0.1
    assert waits[2] >= 0.2


@pytest.mark.parametrize("feed", ["rtsp://camera/1", "0", "/dev/video2"])
def test_addresses_and_cameras_are_opened_as_they_are(feed, tmp_path):
    assert located(feed, tmp_path) == feed


def test_a_path_is_relative_to_its_folder(tmp_path):
    assert located("clip.mp4", tmp_path) == str(tmp_path / "clip.mp4")


def test_a_password_in_an_address_is_not_shown():
    assert "secret" not in Feed("rtsp://me:secret@camera/1").name
