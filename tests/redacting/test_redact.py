"""A redacted clip hides every face that was detected or bridged, keeps sound and time, and leaves nothing half done."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from guard.cli import main
from guard.errors import ConfigError, GuardError, SourceError
from guard.redacting import Redaction, redact_all, redact_clip
from guard.redacting.batch import targets
from guard.replay.clip import open_clip
from guard.replay.stopping import Stop
from guard.testing import FakeDetector
from guard.vision import Detector
from tests.replay.conftest import TURNS, turn_clip, write_clip

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
BOX = (20, 20, 60, 60)


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def flickering(*seen: bool):
    """A detector that sees one face in the frames that say so."""
    calls = iter(seen)
    return FakeDetector(lambda _: [BOX] if next(calls) else [])


def is_hidden(frame: np.ndarray) -> bool:
    x1, y1, x2, y2 = BOX
    return bool(frame[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4].max() < 14)


def test_no_face_is_left_in_a_real_clip(tmp_path: Path):
    out = tmp_path / "out.mp4"
    done = redact_clip(SAMPLES / "office" / "clip.mp4", out, Redaction(), detector=Detector())
    assert done.frames == 96
    assert done.frames_with_faces > 40
    detector = Detector()
    assert sum(len(detector.detect(frame)) for frame in frames_of(out)) == 0


def test_a_face_is_hidden_where_it_is_missed_and_before_it_is_first_seen(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mp4", frames=10)
    done = redact_clip(
        clip,
        tmp_path / "out.mp4",
        Redaction(hold_s=0.09, margin=0.0),
        detector=flickering(*[False] * 3, True, False, True, *[False] * 4),
    )
    hidden = [is_hidden(frame) for frame in frames_of(tmp_path / "out.mp4")]
    assert hidden == [False, True, True, True, True, True, True, True, False, False]
    assert (done.frames_with_faces, done.frames_bridged) == (2, 7 - 2)


def test_time_stamps_and_sound_are_kept_and_metadata_are_not(tmp_path: Path):
    clip = write_clip(
        tmp_path / "clip.mov", frames=25, sound="aac", metadata={"location": "+48.85+002.35/", "title": "a name"}
    )
    redact_clip(clip, tmp_path / "out.mp4", Redaction(), detector=FakeDetector([]))
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        stamps = [
            [float(frame.pts * frame.time_base) for frame in container.decode(video=0)] for container in (before, after)
        ]
        assert stamps[0] == pytest.approx(stamps[1], abs=1e-3)
        assert after.streams.audio
        assert not {"location", "title"} & after.metadata.keys()


def test_odd_sides_and_pictures_work(tmp_path: Path):
    clip = write_clip(tmp_path / "odd.mkv", frames=3, size=(161, 121))
    redact_clip(clip, tmp_path / "out.mp4", Redaction(), detector=FakeDetector([BOX]))
    assert frames_of(tmp_path / "out.mp4")[0].shape == (122, 162, 3)


def test_a_clip_that_breaks_off_is_redacted_up_to_there(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mp4", frames=40, options={"movflags": "frag_keyframe+empty_moov"})
    clip.write_bytes(clip.read_bytes()[: -clip.stat().st_size // 3])
    done = redact_clip(clip, tmp_path / "out.mp4", Redaction(), detector=FakeDetector([BOX]))
    assert done.broke_off is not None
    assert len(frames_of(tmp_path / "out.mp4")) == done.frames > 0


class _Asked(Stop):
    """Asks to end once it was looked at some times."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    @property
    def asked(self) -> bool:
        self._after -= 1
        return self._after < 0

    @asked.setter
    def asked(self, value: bool) -> None:
        return None


@pytest.mark.parametrize("after", [0, 8])
def test_a_stop_leaves_nothing_behind(tmp_path: Path, after: int):
    clip = write_clip(tmp_path / "clip.mp4", frames=10)
    redaction = Redaction(hold_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        redact_clip(clip, tmp_path / "out.mp4", redaction, detector=FakeDetector([BOX]), stop=_Asked(after))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


def test_a_detector_that_breaks_leaves_nothing_behind(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(RuntimeError):
        redact_clip(clip, tmp_path / "out.mp4", Redaction(), detector=FakeDetector(error=RuntimeError("broken")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


def test_a_box_that_cannot_be_placed_leaves_nothing_behind(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(GuardError, match="outside of the picture"):
        redact_clip(clip, tmp_path / "out.mp4", Redaction(), detector=FakeDetector([(900, 900, 950, 950)]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


def test_a_camera_is_refused(tmp_path: Path, monkeypatch):
    class Live:
        live, name = True, "camera 0"

        def close(self) -> None: ...

    monkeypatch.setattr("guard.redacting.clip.open_clip", lambda _, **options: Live())
    with pytest.raises(SourceError, match="has no end"):
        redact_clip(Path("0"), tmp_path / "out.mp4", Redaction(), detector=FakeDetector([]))


def test_each_frame_is_decoded_and_looked_at_once(tmp_path: Path, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", frames=30)
    opened = []
    monkeypatch.setattr(
        "guard.redacting.clip.open_clip", lambda path, **options: opened.append(path) or open_clip(path, **options)
    )
    looked = []
    detector = FakeDetector(lambda image: looked.append(1) or [BOX])
    done = redact_clip(clip, tmp_path / "out.mp4", Redaction(), detector=detector)
    assert (len(opened), len(looked), done.frames) == (1, 30, 30)


def test_frames_that_wait_are_bounded(tmp_path: Path, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", frames=30, rate=5)
    monkeypatch.setattr("guard.redacting.clip.MOST_HELD_BYTES", 20 * 160 * 120 * 3)
    assert redact_clip(clip, tmp_path / "out.mp4", Redaction(), detector=FakeDetector([BOX])).frames == 30
    with pytest.raises(SourceError, match="shorter time"):
        redact_clip(clip, tmp_path / "long.mp4", Redaction(hold_s=5.0), detector=FakeDetector([BOX]))
    assert not list(tmp_path.glob("long*"))


@pytest.mark.parametrize("turn", TURNS)
def test_the_face_is_hidden_where_it_is_seen_however_the_clip_is_stored(tmp_path: Path, turn: int | str):
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    turn_clip(clip, turn)
    redact_clip(clip, tmp_path / "out.mp4", Redaction(margin=0.0), detector=FakeDetector([BOX]))
    frames = frames_of(tmp_path / "out.mp4")
    assert frames[0].shape == ((160, 120, 3) if turn in (90, 270) else (120, 160, 3))
    assert all(is_hidden(frame) for frame in frames)


# ---- folders


def test_folders_keep_their_shape_and_one_broken_clip_stops_nothing(tmp_path: Path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_clip(tmp_path / "in" / "one.mp4", frames=3)
    write_clip(tmp_path / "in" / "deep" / "two.mkv", frames=3)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    pairs = targets([tmp_path / "in"], tmp_path / "out")
    results = list(redact_all(pairs, Redaction(), detector=FakeDetector([BOX])))
    assert [type(result).__name__ for result in results] == ["SourceError", "Redacted", "Redacted"]
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["deep/two.mp4", "one.mp4"]
    again = list(redact_all(pairs, Redaction(), detector=FakeDetector([BOX])))
    assert all("already" in str(result) for result in again[1:])
    once_more = list(redact_all(pairs[1:], Redaction(), detector=FakeDetector([BOX]), overwrite=True))
    assert all(not isinstance(result, GuardError) for result in once_more)


def test_what_would_overwrite_something_is_refused_at_once(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in" / "a.mp4", frames=2)
    write_clip(tmp_path / "in" / "a.mkv", frames=2)
    with pytest.raises(SourceError, match="overwritten"):
        targets([clip], clip)
    with pytest.raises(SourceError, match="the same file"):
        targets([tmp_path / "in"], tmp_path / "out")
    with pytest.raises(SourceError, match=r"end in \.mp4"):
        targets([clip], tmp_path / "out.avi")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="nothing to redact"):
        targets([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(SourceError, match="becomes a folder"):
        targets([tmp_path / "in"], tmp_path / "out.mp4")


@pytest.mark.parametrize("in_full", [False, True])
def test_copies_in_the_folder_itself_are_not_redacted_again(tmp_path: Path, monkeypatch, in_full: bool):
    monkeypatch.chdir(tmp_path)
    Path("in/copies").mkdir(parents=True)
    write_clip(Path("in/a.mp4"), frames=2)
    write_clip(Path("in/copies/a.mp4"), frames=2)
    out = Path("in/copies")
    assert targets([Path("in")], out.resolve() if in_full else out)[0][0] == Path("in/a.mp4")
    assert len(targets([Path("in")], out.resolve() if in_full else out)) == 1


def test_the_command_says_what_it_did(tmp_path: Path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", frames=4)
    assert main(["redact", str(clip), "-o", str(tmp_path / "out.mp4"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "guard.redact/1"
    assert said["clips"][0]["frames"] == 4
    assert main(["redact", str(clip), "-o", str(tmp_path / "out.mp4"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == "there is a file already"
    assert main(["redact", str(clip), "-o", str(tmp_path / "x.mp4"), "--style", "blurr"]) == 1
    assert "solid, pixelate, blur" in capsys.readouterr().err
    assert main(["redact", str(clip), "-o", str(tmp_path / "x.mp4"), "--hold", "-1"]) == 1
    assert main(["redact", str(tmp_path / "absent.mp4"), "-o", str(tmp_path / "x.mp4")]) == 1
    assert "no such clip" in capsys.readouterr().err


def test_a_hold_out_of_range_is_a_mistake_of_the_caller(tmp_path: Path):
    clip = write_clip(tmp_path / "clip.mp4", frames=2)
    with pytest.raises(ConfigError):
        redact_clip(clip, tmp_path / "out.mp4", Redaction(hold_s=-1), detector=FakeDetector([]))
