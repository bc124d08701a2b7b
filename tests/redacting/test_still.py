"""A redacted picture keeps format, size and the right way up, and nothing of what the file said beside its pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from guard.cli import main
from guard.errors import GuardError, SourceError
from guard.redacting import Redaction, redact_all, redact_picture
from guard.redacting.batch import targets
from guard.testing import FakeDetector
from guard.vision.headers import kind_of
from tests.conftest import SCENE
from tests.files import jpeg_with, photograph
from tests.replay.conftest import write_clip

BOX = (20, 20, 60, 60)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_format_and_size_stay_and_the_face_goes(tmp_path: Path, suffix: str):
    picture = tmp_path / f"in{suffix}"
    picture.write_bytes(photograph(suffix, np.full((120, 160, 3), 200, np.uint8)))
    before = picture.read_bytes()
    done = redact_picture(picture, tmp_path / f"out{suffix}", Redaction(margin=0.0), detector=FakeDetector([BOX]))
    data = done.out.read_bytes()
    hidden = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert kind_of(data) == kind_of(before)
    assert hidden.shape == (120, 160, 3)
    assert hidden[24:56, 24:56].max() < 12
    assert hidden[80:, 80:].min() > 190
    assert picture.read_bytes() == before
    assert (done.frames, done.frames_with_faces) == (1, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_face_is_covered_where_people_see_it(tmp_path: Path, orientation: int):
    picture = tmp_path / "in.jpg"
    picture.write_bytes(jpeg_with(np.full((120, 160, 3), 200, np.uint8), orientation=orientation))
    redact_picture(picture, tmp_path / "out.jpg", Redaction(margin=0.0), detector=FakeDetector([BOX]))
    # As every reader sees it: nothing is left that asks for a turn.
    hidden = cv2.imdecode(np.fromfile(tmp_path / "out.jpg", np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert hidden.shape == ((160, 120, 3) if orientation > 4 else (120, 160, 3))
    assert hidden[24:56, 24:56].max() < 12
    assert hidden[64:116, 64:116].min() > 190


@pytest.mark.parametrize("faces", [[], [BOX]])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_place_maker_and_embedded_pictures_are_dropped(tmp_path: Path, suffix: str, faces: list[object]):
    picture = tmp_path / f"in{suffix}"
    picture.write_bytes(photograph(suffix, SCENE, thumbnail=True))
    assert b"SECRET" in picture.read_bytes()
    redact_picture(picture, tmp_path / f"out{suffix}", Redaction(), detector=FakeDetector(faces))
    data = (tmp_path / f"out{suffix}").read_bytes()
    for trace in (b"SECRET", b"Exif", b"eXIf", b"EXIF", b"xmp", b"MPF", b"caBX", b"c2pa"):
        assert trace not in data
    assert data[3:].find(b"\xff\xd8\xff") == -1


def test_folders_of_clips_and_pictures_keep_their_shape(tmp_path: Path):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    write_clip(source / "clip.mkv", frames=3)
    for name in ("deep/a.jpg", "b.png", ".hidden.png"):
        (source / name).write_bytes(photograph(Path(name).suffix, SCENE))
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (source / "scan.bmp").write_bytes(b"BM" + bytes(100))
    (source / "notes.txt").write_text("not a picture")
    results = list(redact_all(targets([source], out), Redaction(), detector=FakeDetector([BOX])))
    failed = [str(result.where) for result in results if isinstance(result, GuardError)]
    assert failed == [str(source / "broken.jpg"), str(source / "scan.bmp")]
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert made == ["b.png", "clip.mp4", "deep/a.jpg"]


def test_a_folder_of_pictures_is_one_clip_where_a_clip_is_asked_for(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(photograph(".png", SCENE))
    assert targets([tmp_path / "in"], tmp_path / "out.mp4") == [(tmp_path / "in", tmp_path / "out.mp4")]
    assert len(targets([tmp_path / "in"], tmp_path / "out")) == 3


def test_a_picture_keeps_its_format_and_nothing_half_written_stays(tmp_path: Path, monkeypatch, capsys):
    picture = tmp_path / "in.jpg"
    picture.write_bytes(photograph(".jpg", SCENE))
    with pytest.raises(SourceError, match="keeps its format"):
        targets([picture], tmp_path / "out.png")
    assert main(["redact", str(picture), "-o", str(tmp_path / "absent" / "out.jpg")]) == 0
    assert "no face" in capsys.readouterr().out

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert main(["redact", str(picture), "-o", str(tmp_path / "out.jpg")]) == 1
    assert "No space left" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))
    assert main(["redact", str(tmp_path / "absent.jpg"), "-o", str(tmp_path / "out.jpg")]) == 1
    assert "cannot be read" in capsys.readouterr().err
