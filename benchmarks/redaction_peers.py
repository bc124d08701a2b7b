"""Who tries to recognise a redacted face, and how others redact: for `redaction.py`.

The matcher is dlib's network as `face_recognition` uses it, told where the face is. Peers are `deface` (pip install
deface), whose code runs as it is, and the two ways of `presidio-image-redactor`-like tools, which cover an exact box.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from guard.facts.faces import Faces
from guard.vision import Detector, redact
from guard.vision.redaction import STYLES

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Hide = Callable[[Picture, Boxes], Picture]

MATCHES = 0.6
"""Distance below which dlib's network, by its author, has one person before it."""


class Matcher:
    """dlib's network on a face whose place is known: nothing has to be found in the redacted picture."""

    def __init__(self) -> None:
        dlib: Any = importlib.import_module("dlib")
        spec = importlib.util.find_spec("face_recognition_models")
        assert spec is not None, "pip install 'frguard[dlib]'"
        models = Path((spec.submodule_search_locations or [""])[0]) / "models"
        self._rectangle = dlib.rectangle
        self._landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
        self._hog = dlib.get_frontal_face_detector()

    def landmarks(self, picture: Picture, box: NDArray[Any]) -> Any:
        """The five points in a BGR picture, by which a face is cut out."""
        return self._landmarks(_rgb(picture), self._rectangle(*(round(float(v)) for v in box)))

    def encode(self, picture: Picture, points: Any) -> NDArray[np.float64]:
        """128 numbers of the face at those points."""
        return np.asarray(self._network.compute_face_descriptor(_rgb(picture), points))

    def find(self, picture: Picture) -> Boxes:
        """Faces that dlib's HOG detector finds, N x 4 xyxy."""
        found = [(r.left(), r.top(), r.right(), r.bottom()) for r in self._hog(_rgb(picture))]
        return np.array(found, np.float32).reshape(-1, 4)


def _rgb(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, :, ::-1])


def deface() -> Any:
    """The installed `deface`: its module and its detector at its own defaults; None where it is not installed."""
    try:
        module: Any = importlib.import_module("deface.deface")
    except ImportError:
        print("deface is not installed: its rows are left out", file=sys.stderr)
        return None
    return module


def center_face(module: Any) -> Callable[[Picture], Boxes]:
    """CenterFace as the `deface` command runs it: native size, threshold 0.2."""
    network = module.CenterFace()

    def find(picture: Picture) -> Boxes:
        found, _ = network(_rgb(picture), threshold=0.2)
        return np.asarray(found[:, :4], np.float32).reshape(-1, 4)

    return find


def detected() -> Callable[[Picture], Boxes]:
    """Ours, at the settings of `guard redact`."""
    detector = Detector()
    return lambda picture: detector.detect(picture).boxes


def ways(module: Any) -> dict[str, Hide]:
    """How boxes are hidden, by name: ours first."""
    hidden: dict[str, Hide] = {f"guard {style}": _ours(style) for style in STYLES}
    hidden["exact box, black"] = _exact(lambda face: np.zeros_like(face))
    hidden["exact box, Gaussian blur 31 px"] = _exact(lambda face: cv2.GaussianBlur(face, (31, 31), 0))
    hidden["exact box, mosaic of 16 x 16"] = _exact(_mosaic)
    if module is not None:
        hidden["deface blur (its default)"] = _theirs(module, "blur")
        hidden["deface mosaic, 20 px"] = _theirs(module, "mosaic")
        hidden["deface solid, ellipse off"] = _theirs(module, "solid")
    return hidden


def _ours(style: Any) -> Hide:
    return lambda picture, boxes: redact(picture, Faces(boxes, np.ones(len(boxes), np.float32)), style=style)


def _exact(work: Callable[[Any], Any]) -> Hide:
    def hide(picture: Picture, boxes: Boxes) -> Picture:
        copy = picture.copy()
        limits = [picture.shape[1], picture.shape[0]] * 2
        for x1, y1, x2, y2 in np.clip(np.round(boxes), 0, limits).astype(int):
            if x2 > x1 and y2 > y1:
                copy[y1:y2, x1:x2] = work(np.ascontiguousarray(copy[y1:y2, x1:x2]))
        return copy

    return hide


def _mosaic(face: Picture) -> Any:
    small = cv2.resize(face, (16, 16), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, face.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _theirs(module: Any, way: str) -> Hide:
    def hide(picture: Picture, boxes: Boxes) -> Picture:
        copy = picture.copy()
        rows = np.concatenate([boxes, np.ones((len(boxes), 1), np.float32)], axis=1)
        module.anonymize_frame(rows, copy, 1.3, way, way != "solid", False, None, 20)
        return copy

    return hide
