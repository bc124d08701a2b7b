"""The face detector: YuNet-s on ONNX Runtime, one thread, no spinning, one session for the whole process.

A detector that fails says so: whatever goes wrong between the picture and the boxes is a `GuardFault`,
never an empty list of faces.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from guard._imports import native

with native("numpy"):
    pass
with native("onnxruntime"):
    import onnxruntime as ort

from guard.errors import ConfigError, GuardError, GuardFault
from guard.facts.faces import Faces
from guard.vision.decoding import LANDMARKS, OUTPUTS, Floats, Found, decode
from guard.vision.models import YUNET_S, read_model
from guard.vision.picture import Picture, as_bgr
from guard.vision.scaling import workspace

__all__ = ["Detector", "bare"]

MIN_FACE_PX = 32
FACE_SCORE = 0.5


class Detector:
    """Finds faces. Any number of threads may share one; all detectors of a process share one session.

    Args:
        path: another copy of the shipped model file; None for the shipped one.

    Raises:
        ConfigError: the file is missing or is not, byte for byte, the one that this version was tested with.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._session = _session(path)

    def detect(self, image: Any, *, min_face_px: int = MIN_FACE_PX, face_score: float = FACE_SCORE) -> Faces:
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
        boxes, scores, _ = self._look(image, min_face_px, face_score, OUTPUTS)
        return Faces(boxes, scores)

    def detect_landmarks(
        self, image: Any, *, min_face_px: int = MIN_FACE_PX, face_score: float = FACE_SCORE
    ) -> tuple[Faces, Floats]:
        """As `detect`, with five points a face: float32 N x 5 x 2, (x, y) in source pixels.

        In the order right eye, left eye, nose tip, right and left corner of the mouth, as the person has
        them. For matchers that align a face before they compare it; the guard itself never asks for them.
        """
        boxes, scores, points = self._look(image, min_face_px, face_score, OUTPUTS + LANDMARKS)
        return Faces(boxes, scores), points

    def _look(self, image: Any, min_face_px: int, face_score: float, names: tuple[str, ...]) -> Found:
        if not min_face_px >= 1:
            raise ConfigError(f"min_face_px is {min_face_px}", where="min_face_px", mend="give 1 or more")
        if not 0.0 < face_score <= 1.0:
            raise ConfigError(f"face_score is {face_score}", where="face_score", mend="give a number above 0, up to 1")
        try:
            return _run(self._session, as_bgr(image), min_face_px, face_score, names)
        except GuardError:
            raise
        except Exception as error:
            # cv2.error, ONNX Runtime's own classes, MemoryError: all mean that the picture was not seen.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise GuardFault(f"the face detector failed: {reason}", where="detector") from error


def bare(image: Picture, *, min_face_px: int = MIN_FACE_PX, face_score: float = FACE_SCORE) -> tuple[Floats, Floats]:
    """Resize, run, decode and nothing else: boxes float32 N x 4 and scores float32 N, as `Detector.detect`
    has them.

    What a pipeline without a guard would run; benchmarks compare the guard against it. `image` must be uint8
    H x W x 3, C-contiguous; errors of the libraries pass through.
    """
    boxes, scores, _ = _run(_session(None), image, min_face_px, face_score, OUTPUTS)
    return boxes, scores


def _run(
    session: ort.InferenceSession,
    picture: Picture,
    min_face_px: int,
    face_score: float,
    names: tuple[str, ...],
) -> Found:
    ready = workspace(picture, min_face_px).fill(picture)
    values = session.run(names, {"input": ready.blob}, _RUN_OPTIONS)
    return decode(dict(zip(names, values, strict=True)), ready.scaling, face_score)


def _run_options() -> ort.RunOptions:
    options = ort.RunOptions()
    # Landmarks that nobody asked for are not computed.
    options.only_execute_path_to_fetches = True
    return options


_RUN_OPTIONS = _run_options()
_sessions: dict[Path | None, ort.InferenceSession] = {}
_sessions_lock = threading.Lock()


def _session(path: Path | None) -> ort.InferenceSession:
    """The process's one session; made on first use. ONNX Runtime's sessions may be run by many threads at
    once."""
    found = _sessions.get(path)
    if found is None:
        with _sessions_lock:
            found = _sessions.get(path)
            if found is None:
                found = _sessions[path] = _load(path)
    return found


def _load(path: Path | None) -> ort.InferenceSession:
    data = read_model(path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"the detector's model does not load: {reason}",
            where=YUNET_S.file,
            mend="pip install --upgrade onnxruntime",
        ) from error
