"""The film of a report: no face in it, whatever the verdict, the clip's own time, and never too long for a page."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from guard.errors import SourceError
from guard.facts import Faces
from guard.replay.clip import open_clip
from guard.replay.film import Film, FilmWriter
from guard.replay.result import Replay
from guard.testing import FakeDetector
from tests.replay.conftest import BOX, OFFICE, MakeClip

Run = Callable[..., Replay]


def pictures(path: Path) -> list[np.ndarray[Any, Any]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def written(clip: Path, found: Callable[[int], Faces | None], out: Path, **options: Any) -> Film:
    opened = open_clip(clip)
    writer = FilmWriter(out, opened, **options)
    for frame in opened.frames():
        writer.add(frame, found(frame.index))
    opened.close()
    film = writer.close()
    assert film is not None
    return film


def faces(*boxes: list[float]) -> Faces:
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))


def hidden(picture: np.ndarray[Any, Any]) -> bool:
    """Whether the face at BOX is black: the pictures of the test are lighter there, as `shade` says."""
    x1, y1, x2, y2 = BOX
    return bool(picture[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4].max() < 40)


LIGHT = [1, 2, 3, 4, 6]
"""Frames whose shade is far from black."""


def test_a_face_is_hidden_where_the_call_was_allowed_too(make_clip: MakeClip, run: Run):
    result = run(make_clip(frames=7), OFFICE, service="self_hosted", detector=FakeDetector([BOX]))
    assert result.calls[0].allowed == 7
    shown = pictures(result.outputs.report.with_name("redacted.mp4"))
    assert len(shown) == 7
    assert all(hidden(shown[at]) for at in LIGHT)


def test_a_face_is_hidden_before_it_is_first_seen_and_after_it_was_last(make_clip: MakeClip, tmp_path: Path):
    film = written(
        make_clip(frames=30, rate=10), lambda at: faces(BOX) if at == 15 else faces(), tmp_path / "redacted.mp4"
    )
    shown = pictures(tmp_path / film.name)
    plain = pictures(make_clip("plain.mp4", frames=30, rate=10))
    light = [at for at in range(30) if not hidden(plain[at])]
    assert {9, 21} <= set(light)
    assert all(hidden(shown[at]) == (9 <= at <= 21) for at in light if at not in (8, 22))


def test_a_frame_whose_faces_are_unknown_is_a_mosaic(make_clip: MakeClip, tmp_path: Path):
    clip = make_clip(frames=3, size=(320, 240))
    written(clip, lambda at: None, tmp_path / "redacted.mp4")
    shown, plain = pictures(tmp_path / "redacted.mp4")[1], pictures(clip)[1]
    assert abs(int(plain[200, 158]) - int(plain[200, 162])) > 40
    fields = shown.reshape(3, 80, 4, 80)[:, 8:-8, :, 8:-8]
    assert fields.std(axis=(1, 3)).max() < 5


def test_it_keeps_the_clips_time_stamps_and_no_sound(make_clip: MakeClip, run: Run):
    clip = make_clip(frames=10, sound="aac")
    result = run(clip)
    with av.open(str(result.outputs.report.with_name("redacted.mp4"))) as film, av.open(str(clip)) as source:
        assert not film.streams.audio
        times = [float(frame.time) for frame in film.decode(video=0)]
        assert times == pytest.approx([float(frame.time) for frame in source.decode(video=0)], abs=1e-3)


def test_a_wide_clip_is_made_smaller_and_its_boxes_with_it(make_clip: MakeClip, tmp_path: Path):
    scale = 8
    film = written(
        make_clip(frames=5, size=(160 * scale, 120 * scale)),
        lambda at: faces([scale * value for value in BOX]),
        tmp_path / "redacted.mp4",
    )
    assert (film.width, film.height) == (640, 480)
    x1, y1, x2, y2 = (4 * value for value in BOX)
    assert pictures(tmp_path / "redacted.mp4")[2][y1 + 8 : y2 - 8, x1 + 8 : x2 - 8].max() < 40


def test_one_that_is_too_long_gets_fewer_and_smaller_frames_and_ends_at_the_same_time(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("guard.replay.film._SMALLER", ((96, 40, 20), (64, 45, 5)))
    clip = make_clip(frames=60, size=(320, 240))
    film = written(clip, lambda at: faces(), tmp_path / "redacted.mp4", most_bytes=3500)
    data = (tmp_path / "redacted.mp4").read_bytes()
    assert len(data) <= 3500
    assert film == Film("redacted.mp4", sha256(data).hexdigest(), film.width, film.height, film.frames, 60)
    assert film.width < 320
    assert film.frames < 60
    with av.open(str(tmp_path / "redacted.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert len(times) == film.frames
    assert times[-1] > 1.5
    assert [entry.name for entry in tmp_path.glob("*redacted*")] == ["redacted.mp4"]


def test_one_that_never_fits_is_left_out_with_a_note(make_clip: MakeClip, run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.replay.footage.FilmWriter", lambda path, clip: FilmWriter(path, clip, most_bytes=10))
    result = run(make_clip(frames=3))
    assert result.film is None
    assert any("whatever is left out" in note for note in result.notes)
    assert not result.outputs.report.with_name("redacted.mp4").exists()
    assert result.outputs.video is not None


def test_a_full_disk_costs_the_film_and_nothing_else(make_clip: MakeClip, run: Run, monkeypatch: pytest.MonkeyPatch):
    def full(self: object, frame: object, found: object) -> None:
        raise SourceError("the video cannot be written: No space left on device")

    monkeypatch.setattr(FilmWriter, "add", full)
    result = run(make_clip(frames=3))
    assert result.film is None
    assert result.calls[0].denied == 3
    assert any("No space left" in note for note in result.notes)
