"""OpenCV: `cv2.FaceRecognizerSF` (SFace), `cv2.face` of the contrib wheels, and face networks run by `cv2.dnn`.

Detectors (`FaceDetectorYN`, cascades) and `alignCrop` identify nobody and pass untouched.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from guard.integrations import opencv_dnn
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import COMPARE, EMBED, carrying, comparing, making

__all__ = ["ADAPTER", "DISTRIBUTIONS"]

DISTRIBUTIONS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)


def _discover(cv2: ModuleType) -> Iterator[Hook]:
    if hasattr(cv2, "FaceRecognizerSF"):
        yield Hook("cv2", "FaceRecognizerSF.__init__", making("cv2.FaceRecognizerSF"))
        yield Hook("cv2", "FaceRecognizerSF.create", making("cv2.FaceRecognizerSF.create"))
        yield Hook("cv2", "FaceRecognizerSF_create", making("cv2.FaceRecognizerSF_create"))
        yield Hook("cv2", "FaceRecognizerSF.feature", carrying("cv2.FaceRecognizerSF.feature", EMBED))
        yield Hook("cv2", "FaceRecognizerSF.match", comparing("cv2.FaceRecognizerSF.match", COMPARE))
    if hasattr(getattr(cv2, "face", None), "FaceRecognizer"):
        for method in ("predict", "predict_label", "predict_collect"):
            yield Hook("cv2", f"face.FaceRecognizer.{method}", carrying(f"cv2.face.{method}", COMPARE))
        for method in ("train", "update"):
            yield Hook("cv2", f"face.FaceRecognizer.{method}", comparing(f"cv2.face.{method}", ("enrol",)))
    yield from opencv_dnn.hooks(cv2)


ADAPTER = Adapter(
    name="opencv",
    distributions=DISTRIBUTIONS,
    supported=">=4.10,<6",
    discover={"cv2": _discover},
    note="vectors that are compared with numpy are not seen",
)
