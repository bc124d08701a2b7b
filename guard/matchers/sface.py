"""OpenCV's SFace (`cv2.FaceRecognizerSF`), given its model file.

SFace: Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", IEEE TIP 2021.
The file (`face_recognition_sface_2021dec.onnx` of the OpenCV model zoo, Apache-2.0) is not ours to ship: name
it with `--model`. Faces and their five landmarks come from `cv2.FaceDetectorYN` with guard's own detector
file; OpenCV 4.x and 5.x both read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard._imports import native
from guard.approvals import Approval
from guard.errors import SourceError
from guard.matchers.base import Match
from guard.matchers.gallery import Box, Portrait, References, read_gallery
from guard.vision import Detector

with native("cv2"):
    import cv2

__all__ = ["COSINE", "SFace"]

COSINE = 0.363
"""Cosine similarity from which two faces are the same person's (OpenCV's documentation of
`FaceRecognizerSF`).
"""


class SFace:
    """Identification against a folder of portraits. `Match.score` is a cosine: 1 the same picture, 0.363 the
    limit.

    Args:
        gallery: see `guard.matchers.gallery`.
        model: the SFace ONNX file.
        cosine: similarity from which a face counts as a person of the gallery.
    """

    name = "sface"
    service = "self_hosted"

    def __init__(self, gallery: Path | None, model: Path | None, *, cosine: float = COSINE) -> None:
        if model is None:
            raise SourceError(
                "the matcher sface needs its model file",
                where="--model",
                mend="download face_recognition_sface_2021dec.onnx from the OpenCV model zoo and name it",
            )
        if not model.is_file():
            raise SourceError("there is no such model file", where=str(model), mend="name the SFace ONNX file")
        self.reached = 0
        self._cosine = cosine
        try:
            # Making it identifies nobody. Under `guard.install` each use of it is judged: as a part of the guarded
            # call to `search`, or on its own.
            with Approval(self.service, ("identify",), sealed=True):
                self._recognise = cv2.FaceRecognizerSF.create(str(model), "")
        except cv2.error:
            raise SourceError(
                "OpenCV cannot read the model", where=str(model), mend="name the SFace ONNX file"
            ) from None
        self._detector = Detector()
        portraits, self.warnings = read_gallery(gallery, self._faces)
        self._references = References(portraits, self._reference)

    @property
    def enrolled(self) -> bool:
        """True once templates of the gallery were made, by the first call that was let through."""
        return self._references.enrolled

    def search(self, picture: NDArray[Any]) -> list[Match]:
        """See `Matcher.search`: for every face that is near enough to a portrait, the nearest person."""
        self.reached += 1
        matches = []
        for box, row in self._faces(picture):
            cosines = self._references.vectors() @ self._template(picture, row)
            nearest = int(cosines.argmax())
            if cosines[nearest] >= self._cosine:
                matches.append(Match(self._references.people[nearest], float(cosines[nearest]), box))
        return matches

    def _faces(self, picture: NDArray[Any]) -> list[tuple[Box, NDArray[np.float32]]]:
        """Boxes in pixels of `picture`, each with OpenCV's row of 15 numbers: x, y, w, h, five landmarks, score."""
        faces, landmarks = self._detector.detect_landmarks(picture)
        found = []
        for box, points, score in zip(faces.boxes, landmarks, faces.scores, strict=True):
            x1, y1, x2, y2 = (float(value) for value in box)
            row = np.array([x1, y1, x2 - x1, y2 - y1, *points.ravel(), score], dtype=np.float32)
            found.append(((x1, y1, x2, y2), row))
        return found

    def _reference(self, portrait: Portrait) -> NDArray[np.float32]:
        return self._template(portrait.picture, portrait.face)

    def _template(self, picture: NDArray[Any], row: NDArray[np.float32]) -> NDArray[np.float32]:
        """The unit vector of one face."""
        try:
            vector = self._recognise.feature(self._recognise.alignCrop(np.ascontiguousarray(picture), row[None]))
        except cv2.error as error:
            raise _failed(error) from None
        flat = np.asarray(vector, dtype=np.float32).ravel()
        length = float(np.linalg.norm(flat))
        if not np.isfinite(length) or length == 0:
            raise SourceError("the model gave no vector for a face", where="matcher sface", mend="check --model")
        return flat / np.float32(length)


def _failed(error: cv2.error) -> SourceError:
    reason = " ".join(str(getattr(error, "err", error)).split())
    return SourceError(f"OpenCV failed: {reason}", where="matcher sface", mend="check --model")
