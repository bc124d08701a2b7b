"""What the detector promises: faces where they are, and a fault where it could not look."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guard.errors import ConfigError, GuardFault, SourceError
from guard.vision import Detector, bare, network
from guard.vision.decoding import Outputs, decode
from guard.vision.models import YUNET_S, find
from guard.vision.picture import Picture
from guard.vision.scaling import Scaling


def test_the_astronaut_has_one_face(detector: Detector, astronaut: Picture) -> None:
    faces = detector.detect(astronaut)
    assert len(faces) == 1
    assert faces.boxes.dtype == faces.scores.dtype == np.float32
    assert faces.boxes.shape == (1, 4)
    assert faces.scores.shape == (1,)
    np.testing.assert_allclose(faces.boxes[0], [178, 65, 269, 176], atol=8)
    assert faces.scores[0] > 0.8


def test_no_face_is_an_answer_with_the_same_shapes(detector: Detector) -> None:
    faces = detector.detect(np.full((300, 400, 3), 90, np.uint8))
    assert len(faces) == 0
    assert faces.boxes.shape == (0, 4)
    assert faces.scores.shape == (0,)


def test_every_face_of_a_group_is_found_best_first(detector: Detector, group: Picture) -> None:
    faces = detector.detect(group)
    assert len(faces) == 5
    assert list(faces.scores) == sorted(faces.scores, reverse=True)


@pytest.mark.parametrize("min_face_px", [1, 16, 17, 24, 32, 48, 64])
def test_boxes_are_in_source_pixels_at_every_scale(detector: Detector, astronaut: Picture, min_face_px: int) -> None:
    (box,) = detector.detect(astronaut, min_face_px=min_face_px).boxes
    assert _overlap(box, (178.3, 63.2, 267.7, 175.8)) > 0.7


def test_a_face_at_the_border_has_a_box_inside_the_picture(detector: Detector, astronaut: Picture) -> None:
    half = np.ascontiguousarray(astronaut[60:, 215:])
    faces = detector.detect(half, min_face_px=16, face_score=0.3)
    assert len(faces) >= 1
    assert (faces.boxes >= 0).all()
    assert (faces.boxes[:, [0, 2]] <= half.shape[1]).all()
    assert (faces.boxes[:, [1, 3]] <= half.shape[0]).all()


def test_a_higher_threshold_keeps_only_better_faces(detector: Detector, group: Picture) -> None:
    low, high = (detector.detect(group, face_score=score) for score in (0.3, 0.9))
    assert len(high) < len(low)
    assert (high.scores >= 0.9).all()
    assert (low.scores >= 0.3).all()


def test_smaller_faces_need_a_smaller_min_face_px(detector: Detector, group: Picture) -> None:
    counts = [len(detector.detect(group, min_face_px=size, face_score=0.7)) for size in (16, 64, 256)]
    assert counts[0] == 5
    assert counts[0] > counts[1] > counts[2]


def test_the_same_picture_gives_the_same_bytes(detector: Detector, group: Picture) -> None:
    assert detector.detect(group) == detector.detect(group) == Detector().detect(group)


def test_a_picture_is_not_judged_by_the_one_before(detector: Detector, astronaut: Picture) -> None:
    blank = np.zeros_like(astronaut)
    assert [len(detector.detect(picture)) for picture in (astronaut, blank, astronaut, blank)] == [1, 0, 1, 0]


def test_faces_of_an_earlier_picture_stay_as_they_were(detector: Detector, astronaut: Picture) -> None:
    faces = detector.detect(astronaut)
    before = faces.boxes.copy()
    detector.detect(astronaut[::-1])
    np.testing.assert_array_equal(faces.boxes, before)


def test_bare_gives_the_same_boxes(detector: Detector, group: Picture) -> None:
    boxes, scores = bare(group)
    faces = detector.detect(group)
    np.testing.assert_array_equal(boxes, faces.boxes)
    np.testing.assert_array_equal(scores, faces.scores)


def test_landmarks_lie_in_the_face_in_the_order_of_the_eyes(detector: Detector, astronaut: Picture) -> None:
    faces, points = detector.detect_landmarks(astronaut)
    assert faces == detector.detect(astronaut)
    assert points.shape == (1, 5, 2)
    assert points.dtype == np.float32
    low, high = faces.boxes[0, :2], faces.boxes[0, 2:]
    assert ((points[0] > low) & (points[0] < high)).all()
    right_eye, left_eye, nose, right_mouth, left_mouth = points[0]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_eye[1] < nose[1] < right_mouth[1]
    assert right_mouth[0] < left_mouth[0]


def test_landmarks_of_no_face_have_their_shape(detector: Detector) -> None:
    faces, points = detector.detect_landmarks(np.zeros((64, 64, 3), np.uint8))
    assert len(faces) == 0
    assert points.shape == (0, 5, 2)


def test_a_read_only_picture_is_left_as_it_was(detector: Detector, astronaut: Picture) -> None:
    before = astronaut.copy()
    assert not astronaut.flags.writeable
    detector.detect(astronaut)
    detector.detect(astronaut[::2, ::2])
    np.testing.assert_array_equal(astronaut, before)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (31, 33), (32, 32), (5, 3), (719, 1281)])
def test_any_size_can_be_looked_at(detector: Detector, size: tuple[int, int]) -> None:
    assert len(detector.detect(np.full((*size, 3), 7, np.uint8))) == 0


def test_many_threads_share_one_detector(detector: Detector, astronaut: Picture, group: Picture) -> None:
    pictures = [astronaut, group, np.ascontiguousarray(astronaut[:300]), np.zeros((90, 90, 3), np.uint8)]
    alone = [detector.detect(picture) for picture in pictures]
    start = threading.Barrier(6)

    def work(turn: int) -> bool:
        start.wait()
        order = [(turn + step) % len(pictures) for step in range(8)]
        return all(detector.detect(pictures[which]) == alone[which] for which in order)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))


def test_a_thread_keeps_a_bounded_number_of_buffers(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "KEPT_PIXELS", 100_000)
    kept = network._lanes.kept
    for width in range(32, 600, 64):
        detector.detect(np.zeros((96, width, 3), np.uint8), min_face_px=16)
        assert sum(lane.scaling.width * lane.scaling.height for lane in kept.values()) <= 100_000
        assert next(reversed(kept.values())).scaling.source_width == width
    detector.detect(np.zeros((600, 600, 3), np.uint8), min_face_px=16)
    assert [lane.scaling.source_width for lane in kept.values()] == [600]


# What the network cannot say must not pass for "no face".


def _spoilt(change: Callable[[Outputs], None]) -> Callable[[network.Lane, Picture], Outputs]:
    look = network.Lane.look

    def spoilt(lane: network.Lane, picture: Picture) -> Outputs:
        outputs = look(lane, picture)
        change(outputs)
        return outputs

    return spoilt


def _fill(kind: str, value: float, where: Any = slice(None)) -> Callable[[Outputs], None]:
    def change(outputs: Outputs) -> None:
        getattr(outputs, kind)[where] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _fill("classes", math.nan),
        _fill("classes", math.nan, 17),
        _fill("objects", math.nan, -1),
        _fill("objects", 1.5, 3),
        _fill("classes", -0.5, 3),
        _fill("classes", 0.0),
        _fill("objects", 0.0),
        _fill("classes", math.inf, 0),
        _fill("boxes", math.nan, 5),
        _fill("boxes", math.inf, 5),
        _fill("boxes", -math.inf, 5),
        _fill("boxes", 1e6, 5),
    ],
)
def test_outputs_that_the_network_cannot_give_are_a_fault(
    change: Callable[[Outputs], None], detector: Detector, astronaut: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.Lane, "look", _spoilt(change))
    with pytest.raises(GuardFault, match="the face detector gave what it cannot give"):
        detector.detect(astronaut)


def test_landmarks_that_are_not_numbers_are_a_fault(
    detector: Detector, astronaut: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.Lane, "look", _spoilt(_fill("points", math.nan)))
    with pytest.raises(GuardFault, match="landmarks"):
        detector.detect_landmarks(astronaut)


def test_a_run_that_writes_nothing_is_a_fault_and_not_the_last_frame(
    astronaut: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Idle:
        def run_with_iobinding(self, *_: object) -> None:
            return None

    lane = network.Lane(network.session(), Scaling.of(512, 512, 16), landmarks=False)
    assert len(decode(lane.look(astronaut), lane.grid, 0.5).scores) == 1
    monkeypatch.setattr(lane, "_session", Idle())
    with pytest.raises(GuardFault):
        decode(lane.look(astronaut), lane.grid, 0.5)


@pytest.mark.parametrize("error", [RuntimeError("onnxruntime broke\nbadly"), MemoryError(), ValueError("x")])
def test_whatever_breaks_on_the_way_is_a_fault(
    error: Exception, detector: Detector, astronaut: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(lane: network.Lane, picture: Picture) -> Outputs:
        raise error

    monkeypatch.setattr(network.Lane, "look", broken)
    with pytest.raises(GuardFault, match="the face detector failed") as caught:
        detector.detect(astronaut)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("min_face_px", [0, -16, math.nan])
def test_a_face_size_below_one_pixel_is_refused(detector: Detector, astronaut: Picture, min_face_px: float) -> None:
    with pytest.raises(ConfigError, match="min_face_px"):
        detector.detect(astronaut, min_face_px=min_face_px)


@pytest.mark.parametrize("face_score", [0.0, -0.1, 1.01, math.nan])
def test_a_threshold_that_keeps_all_or_nothing_is_refused(
    detector: Detector, astronaut: Picture, face_score: float
) -> None:
    with pytest.raises(ConfigError, match="face_score"):
        detector.detect(astronaut, face_score=face_score)


def test_a_picture_beyond_all_memory_is_refused(detector: Detector) -> None:
    huge = np.broadcast_to(np.zeros(3, np.uint8), (20000, 20000, 3))
    with pytest.raises(SourceError, match="too large for min_face_px = 16"):
        Scaling.of(huge.shape[1], huge.shape[0], 16)
    assert Scaling.of(20000, 20000, 128).width == 2528


# The model file.


def test_a_changed_model_is_refused_in_one_line(tmp_path: Path) -> None:
    shipped = find(YUNET_S)
    assert shipped is not None
    data = bytearray(shipped.read_bytes())
    data[len(data) // 2] ^= 1
    copy = tmp_path / "yunet_s.onnx"
    copy.write_bytes(data)
    with pytest.raises(ConfigError, match="the detector's model has changed: sha256") as caught:
        Detector(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.onnx", "."])
def test_a_model_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Detector(tmp_path / name)


def test_an_intact_copy_elsewhere_works(tmp_path: Path, astronaut: Picture, detector: Detector) -> None:
    shipped = find(YUNET_S)
    assert shipped is not None
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(shipped.read_bytes())
    assert Detector(copy).detect(astronaut) == detector.detect(astronaut)


def test_the_session_takes_one_thread_and_does_not_spin() -> None:
    options = network.session().get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert network.session().get_providers() == ["CPUExecutionProvider"]
    assert network.session() is network.session()


def _overlap(box: Any, other: Any) -> float:
    """Intersection over union."""
    across = min(box[2], other[2]) - max(box[0], other[0])
    down = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(0.0, across) * max(0.0, down)
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (box, other)]
    return float(shared / (sum(areas) - shared))
