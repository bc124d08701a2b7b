"""dlib's face recognition, called directly.

Three files of the `face-recognition-models` package: the 5-point shape predictor and the ResNet that makes
128 numbers of a face. The 68-point predictor beside them is not used: its author notes that the licence of
its training data (iBUG 300-W) excludes commercial use (github.com/davisking/dlib-models, README). The package
itself is not imported either, since it wants `pkg_resources`, which newer setuptools no longer have; its
files are found and read.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard._imports import MissingDependency, native
from guard.errors import SourceError
from guard.matchers.base import Match
from guard.matchers.gallery import Box, Portrait, References, read_gallery
from guard.vision import Detector

__all__ = ["TOLERANCE", "FaceRecognition"]

TOLERANCE = 0.6
"""Euclidean distance up to which two faces are the same person's: the radius the network was trained with."""

_PREDICTOR = "shape_predictor_5_face_landmarks.dat"
_NETWORK = "dlib_face_recognition_resnet_model_v1.dat"

# dlib's predictor was trained on boxes of dlib's own detector. Ours also holds the forehead: on portraits both
# detectors agreed on, dlib's box was a square of 0.90 sqrt(area), its centre 0.08 of the height lower (medians).
_SIDE = 0.90
_LOWER = 0.08

Find = Callable[[NDArray[np.uint8]], Sequence[Box]]


class FaceRecognition:
    """Identification against a folder of portraits. `Match.score` is a distance: 0 the same picture, 0.6 the
    limit.

    Args:
        gallery: see `guard.matchers.gallery`.
        tolerance: distance up to which a face counts as a person of the gallery.
        find: boxes (xyxy, pixels) of the faces in a BGR picture; guard's own detector where left out.

    The gallery is searched for faces here, but no template is made before the first call to `search`.
    """

    name = "face_recognition"
    service = "self_hosted"

    def __init__(self, gallery: Path | None, *, tolerance: float = TOLERANCE, find: Find | None = None) -> None:
        with native("dlib", extra="dlib"):
            import dlib
        predictor, network = _model_file(_PREDICTOR), _model_file(_NETWORK)
        self.reached = 0
        self._dlib = dlib
        self._tolerance = tolerance
        self._find = find if find is not None else _our_detector()
        portraits, self.warnings = read_gallery(gallery, self._faces)
        self._predict = dlib.shape_predictor(str(predictor))
        self._network = dlib.face_recognition_model_v1(str(network))
        self._references = References(portraits, self._reference)

    @property
    def enrolled(self) -> bool:
        """True once templates of the gallery were made, by the first call that was let through."""
        return self._references.enrolled

    def search(self, picture: NDArray[Any]) -> list[Match]:
        """See `Matcher.search`: for every face that is near enough to a portrait, the nearest person."""
        self.reached += 1
        matches = []
        for box, _ in self._faces(np.ascontiguousarray(picture)):
            probe = self._template(picture, box)
            distances = np.linalg.norm(self._references.vectors() - probe, axis=1)
            nearest = int(distances.argmin())
            if distances[nearest] <= self._tolerance:
                matches.append(Match(self._references.people[nearest], float(distances[nearest]), box))
        return matches

    def _faces(self, picture: NDArray[np.uint8]) -> list[tuple[Box, Box]]:
        return [(box, box) for box in self._find(picture)]

    def _reference(self, portrait: Portrait) -> NDArray[np.float32]:
        return self._template(portrait.picture, portrait.face)

    def _template(self, picture: NDArray[Any], box: Box) -> NDArray[np.float32]:
        rgb = np.ascontiguousarray(picture[:, :, ::-1])
        x1, y1, x2, y2 = box
        half = _SIDE * math.sqrt(max(1.0, (x2 - x1) * (y2 - y1))) / 2
        across, down = (x1 + x2) / 2, (y1 + y2) / 2 + _LOWER * (y2 - y1)
        where = self._dlib.rectangle(*(round(v) for v in (across - half, down - half, across + half, down + half)))
        try:
            shape = self._predict(rgb, where)
            return np.asarray(self._network.compute_face_descriptor(rgb, shape), dtype=np.float32)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise SourceError(f"dlib could not use a face: {reason}", where="matcher face_recognition") from None


def _our_detector() -> Find:
    detector = Detector()

    def find(picture: NDArray[np.uint8]) -> list[Box]:
        faces = detector.detect(picture)
        return [(float(a), float(b), float(c), float(d)) for a, b, c, d in faces.boxes]

    return find


def _model_file(name: str) -> Path:
    spec = importlib.util.find_spec("face_recognition_models")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    what = f"{name} is missing from face_recognition_models" if folders else "face_recognition_models is not installed"
    raise MissingDependency(what, where="matcher face_recognition", mend="pip install 'frguard[dlib]'")
