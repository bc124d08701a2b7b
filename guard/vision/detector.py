"""The face detector: YuNet-s on ONNX Runtime, one thread, no spinning, one session for the whole process.

A detector that fails says so: whatever goes wrong between the picture and the boxes is a `GuardFault`,
never an empty list of faces.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.errors import ConfigError, GuardError, GuardFault
from guard.facts.faces import Faces
from guard.vision.decoding import Floats, Found, decode
from guard.vision.network import lane, session
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX
from guard.vision.picture import Picture, as_bgr

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["Detector", "bare"]


class Detector:
    """Finds faces. Any number of threads may share one; all detectors of a process share one session.

    Args:
        path: another copy of the shipped model file; None for the shipped one.

    Raises:
        ConfigError: the file is missing or is not, byte for byte, the one that this version was tested with.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._session = session(path)

    def detect(self, image: Any, *, min_face_px: float = MIN_FACE_PX, face_score: float = FACE_SCORE) -> Faces:
        """The faces of one picture, best score first.

        Args:
            image: uint8, H x W x 3 in BGR order (grey and BGRA work too, see `as_bgr`); never written to.
            min_face_px: smallest face width that matters, in source pixels, 1 or more. The picture is
            scaled by
                16 / min_face_px, never up; 16 and less mean its native size.
            face_score: lowest score that counts as a face, above 0, at most 1.

        Raises:
            SourceError: `image` is not a picture, or too large for `min_face_px`.
            ConfigError: `min_face_px` or `face_score` is out of range.
            GuardFault: the detector failed: how many faces there are is unknown.
        """
        found = self._look(image, min_face_px, face_score, landmarks=False)
        return Faces(found.boxes, found.scores)

    def detect_landmarks(
        self, image: Any, *, min_face_px: float = MIN_FACE_PX, face_score: float = FACE_SCORE
    ) -> tuple[Faces, Floats]:
        """As `detect`, with five points a face: float32 N x 5 x 2, (x, y) in source pixels.

        In the order right eye, left eye, nose tip, right and left corner of the mouth, as the person has
        them. For matchers that align a face before they compare it; the guard itself never asks for them.
        """
        found = self._look(image, min_face_px, face_score, landmarks=True)
        return Faces(found.boxes, found.scores), found.points

    def _look(self, image: Any, min_face_px: float, face_score: float, *, landmarks: bool) -> Found:
        if not min_face_px >= 1:
            raise ConfigError(f"min_face_px is {min_face_px}", where="min_face_px", mend="give 1 or more")
        if not 0.0 < face_score <= 1.0:
            raise ConfigError(f"face_score is {face_score}", where="face_score", mend="give a number above 0, up to 1")
        try:
            return _look(self._session, as_bgr(image), min_face_px, face_score, landmarks=landmarks)
        except GuardError:
            raise
        except Exception as error:
            # cv2.error, ONNX Runtime's own classes, MemoryError: all mean that the picture was not seen.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise GuardFault(f"the face detector failed: {reason}", where="detector") from error


def bare(image: Picture, *, min_face_px: float = MIN_FACE_PX, face_score: float = FACE_SCORE) -> tuple[Floats, Floats]:
    """Resize, run, decode and nothing else: boxes float32 N x 4 and scores float32 N, as `Detector.detect`.

    What a pipeline without a guard would run; benchmarks compare the guard against it. `image` must be uint8
    H x W x 3, C-contiguous; errors of the libraries pass through.
    """
    found = _look(_session_of_bare(), image, min_face_px, face_score, landmarks=False)
    return found.boxes, found.scores


@lru_cache(maxsize=1)
def _session_of_bare() -> ort.InferenceSession:
    return session()


def _look(
    session: ort.InferenceSession, picture: Picture, min_face_px: float, face_score: float, *, landmarks: bool
) -> Found:
    height, width = picture.shape[:2]
    way = lane(session, width, height, min_face_px, landmarks)
    return decode(way.look(picture), way.grid, face_score)
