"""The annotated video: a browser plays it, it hides whom it must hide, and keeps the time and the sound of the clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from guard.facts import Faces
from guard.matchers import Match
from guard.replay.clip import open_clip
from guard.replay.footage import Footage
from guard.replay.overlay import Canvas, Scene
from guard.replay.result import Replay
from guard.replay.video import VideoWriter
from tests.replay.conftest import OFFICE, POLICE, MakeClip

Run = Callable[..., Replay]


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))


def stamps(path: Path | None) -> list[float]:
    with av.open(str(path)) as container:
        return [round(float(frame.pts * frame.time_base), 4) for frame in container.decode(video=0)]


def packets(path: Path | None) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


# ---- the file


def test_it_is_what_every_browser_plays(make_clip: MakeClip, run: Run):
    video = run(make_clip(size=(161, 121), frames=6)).outputs.video
    assert video is not None
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.width % 2 == stream.height % 2 == 0
    data = video.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("pts", "time_base"),
    [
        ([0, 1, 2, 3, 4, 5], Fraction(1, 25)),
        ([0, 1, 5, 6, 30, 31], Fraction(1, 30)),
        ([0, 1001, 2002, 3003, 4004, 9009], Fraction(1, 30_000)),
    ],
)
def test_time_stamps_are_kept(make_clip: MakeClip, run: Run, pts: list[int], time_base: Fraction):
    path = make_clip(frames=6, pts=pts, time_base=time_base)
    assert stamps(run(path).outputs.video) == [round(float(value * time_base), 4) for value in pts]


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "aac"), ("clip.mp4", "libmp3lame")])
def test_sound_that_browsers_know_is_kept_as_it_is(make_clip: MakeClip, run: Run, name: str, codec: str):
    path = make_clip(name, frames=25, sound=codec)
    assert packets(run(path).outputs.video) == packets(path)


@pytest.mark.parametrize(("name", "codec"), [("clip.mkv", "libopus"), ("clip.mkv", "pcm_s16le"), ("clip.ts", "aac")])
def test_other_sound_becomes_aac_of_the_same_length(make_clip: MakeClip, run: Run, name: str, codec: str):
    video = run(make_clip(name, frames=50, sound=codec)).outputs.video
    with av.open(str(video)) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert samples / sound.rate == pytest.approx(2.0, abs=0.1)


def test_a_silent_clip_stays_silent(make_clip: MakeClip, run: Run):
    with av.open(str(run(make_clip()).outputs.video)) as container:
        assert not container.streams.audio


def test_the_file_gets_its_name_when_it_is_whole(make_clip: MakeClip, tmp_path: Path):
    clip = open_clip(make_clip(frames=3))
    writer = VideoWriter(tmp_path / "replay.mp4", clip)
    for frame in clip.frames():
        writer.add(frame, np.zeros((64, 64, 3), np.uint8))
        assert not (tmp_path / "replay.mp4").exists()
    writer.close()
    clip.close()
    assert (tmp_path / "replay.mp4").exists()
    assert not list(tmp_path.glob("*.part"))


def test_an_abandoned_file_is_removed(make_clip: MakeClip, tmp_path: Path):
    clip = open_clip(make_clip(frames=3))
    writer = VideoWriter(tmp_path / "replay.mp4", clip)
    writer.add(next(clip.frames()), np.zeros((64, 64, 3), np.uint8))
    writer.abandon()
    clip.close()
    assert not list(tmp_path.glob("replay*"))


def test_pixels_that_are_not_square_stay_so(make_clip: MakeClip, run: Run, monkeypatch: pytest.MonkeyPatch):
    clip = open_clip(make_clip(frames=3))
    monkeypatch.setattr(type(clip), "pixel_aspect", Fraction(128, 117))
    with av.open(str(run(clip).outputs.video)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(128, 117)


def test_without_an_h264_encoder_there_is_still_a_video_and_a_note(
    make_clip: MakeClip, run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("guard.replay.video._ENCODERS", ())
    result = run(make_clip(frames=3))
    assert any("may not play in a browser" in note for note in result.notes)
    assert len(stamps(result.outputs.video)) == 3


# ---- the pictures

NOISE = np.random.default_rng(3).integers(0, 255, (240, 320, 3), dtype=np.uint8)
FACE = (100.0, 60.0, 180.0, 160.0)


def detail(picture: np.ndarray[Any, Any]) -> float:
    """Mean difference of neighbouring pixels: high where there is a picture, next to nothing where it is hidden."""
    return float(np.abs(np.diff(picture.astype(int), axis=1)).mean())


@pytest.mark.parametrize("verdict", ["deny", "redact", "fault"])
def test_a_face_is_hidden_where_the_call_was_not_allowed(verdict: str):
    drawn = Canvas(320, 240).draw(NOISE, Scene(verdict, "rule", "title", faces(FACE)))
    assert detail(drawn[70:150, 110:170]) < 0.05 * detail(NOISE)
    assert np.array_equal(drawn[:20, 220:320], NOISE[:20, 220:])


def test_a_face_is_shown_and_boxed_where_the_call_was_allowed():
    drawn = Canvas(320, 240).draw(NOISE, Scene("allow", "rule", "title", faces(FACE)))
    assert np.array_equal(drawn[70:150, 110:170], NOISE[70:150, 110:170])
    blue, green, red = (int(value) for value in drawn[110, 100])
    assert green > 150 > max(blue, red)


@pytest.mark.parametrize("verdict", ["deny", "redact", "fault"])
def test_where_nobody_knows_the_faces_the_whole_picture_is_hidden(verdict: str):
    drawn = Canvas(320, 240).draw(NOISE, Scene(verdict, "rule", "title", None))
    assert detail(drawn[:240]) < 0.02 * detail(NOISE)


def test_a_face_that_is_missed_for_a_moment_stays_hidden(make_clip: MakeClip, tmp_path: Path):
    clip = open_clip(make_clip(frames=30, size=(320, 240)))
    footage = Footage(clip, tmp_path)
    for frame in clip.frames():
        seen = faces(FACE) if frame.index == 2 else faces()
        footage.add(replace(frame, image=NOISE), Scene("deny", "rule", "title", seen))
    video, _ = footage.close()
    clip.close()
    with av.open(str(video)) as container:
        shown = [frame.to_ndarray(format="bgr24")[70:150, 110:170] for frame in container.decode(video=0)]
    plain = detail(shown[1])
    assert all(detail(shown[at]) < 0.1 * plain for at in range(2, 19))
    assert detail(shown[-1]) > 0.5 * plain


def test_a_face_that_cannot_be_placed_hides_the_whole_picture():
    drawn = Canvas(320, 240).draw(NOISE, Scene("deny", "rule", "title", faces((900, 900, 950, 950))))
    assert detail(drawn[:240]) < 0.02 * detail(NOISE)


@pytest.mark.parametrize(
    "size", [(176, 144), (64, 48), (640, 272), (1280, 720), (1920, 1080), (1080, 1920), (3840, 2160)]
)
def test_the_banner_fits_every_size(size: tuple[int, int]):
    canvas = Canvas(*size)
    assert canvas.width % 2 == canvas.height % 2 == 0
    assert max(canvas.width, canvas.height) <= 2100
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    title = "No facial recognition for any purpose by or for a US state or local police department " * 3
    drawn = canvas.draw(picture, Scene("deny", "MS-AOAI.us-police +7", title, faces()))
    assert drawn.shape == (canvas.height, canvas.width, 3)
    banner = drawn[drawn.any(axis=(1, 2)).argmax() :]
    text = banner.min(axis=2) > 150
    rows = np.flatnonzero(text.any(axis=1))
    assert len(rows) > 12, "two lines of text"
    assert rows[0] > 0
    assert rows[-1] < len(banner) - 1
    assert not text[:, -1].any(), "the text ends before the edge"


def test_a_name_is_written_beside_who_was_recognised():
    canvas = Canvas(320, 240)
    blank = np.full((240, 320, 3), 90, np.uint8)
    plain = canvas.draw(blank, Scene("allow", "rule", "title", faces(FACE)))
    named = canvas.draw(blank, Scene("allow", "rule", "title", faces(FACE), [Match("alice", 0.3, FACE)]))
    assert np.array_equal(plain[:158], named[:158])
    assert not np.array_equal(plain[160:185], named[160:185])


def test_the_frame_itself_is_left_as_it_is():
    before = NOISE.copy()
    Canvas(320, 240).draw(NOISE, Scene("deny", "rule", "title", faces(FACE)))
    assert np.array_equal(NOISE, before)


def test_a_clip_whose_size_changes_keeps_the_first_size():
    canvas = Canvas(320, 240)
    drawn = canvas.draw(np.zeros((480, 200, 3), np.uint8), Scene("deny", "rule", "title", faces()))
    assert drawn.shape == (canvas.height, canvas.width, 3)


def test_letters_that_opencv_cannot_draw_do_not_break_it():
    title = "Wer darf das? Niemand — § 5 «Gesetz» 識別"
    Canvas(320, 240).draw(NOISE, Scene("deny", "régle", title, faces()))


@pytest.mark.parametrize(("text", "service", "colour"), [(OFFICE, "self_hosted", 1), (POLICE, "azure_openai", 2)])
def test_faces_are_boxed_in_the_colour_of_the_verdict(
    make_clip: MakeClip, run: Run, text: str, service: str, colour: int
):
    video = run(make_clip(size=(320, 240), frames=2), text, service=service).outputs.video
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="bgr24")
    left = frame[50:70, 39:42].mean(axis=(0, 1))
    assert left.argmax() == colour
    assert left[colour] > left[0] + 20


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        ("allow", "SHADOW: ALLOWED  R.1"),
        ("redact", "SHADOW: would be REDACTED  R.1"),
        ("deny", "SHADOW: would be DENIED  R.1"),
        ("fault", "SHADOW: FAULT  R.1"),
    ],
)
def test_the_banner_says_what_was_not_enforced_and_hides_the_faces_all_the_same(verdict: str, says: str):
    shadow = Scene(verdict, "R.1", "title", faces(FACE), shadow=True)
    assert shadow.headline == says
    assert "SHADOW" not in Scene(verdict, "R.1", "title", faces(FACE)).headline
    drawn, enforced = (Canvas(320, 240).draw(NOISE, Scene(verdict, "R.1", "t", faces(FACE), shadow=s)) for s in (1, 0))
    assert np.array_equal(drawn[:240], enforced[:240])
    assert not np.array_equal(drawn[240:], enforced[240:])
