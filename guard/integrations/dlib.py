"""dlib: the network that makes 128 numbers of a face, from a picture and landmarks or from a face chip.

`dlib.shape_predictor` and the detectors identify nobody. The network's constructor passes: ``import face_recognition``
calls it.
"""

from __future__ import annotations

from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import COMPARE, carrying, comparing

__all__ = ["ADAPTER"]

# The compiled module, not the package that re-exports it: it can be imported on its own.
_MODULE = "_dlib_pybind11"

ADAPTER = Adapter(
    name="dlib",
    distributions=("dlib-bin", "dlib"),
    supported=">=19.24.2,<21",
    hooks=(
        Hook(
            _MODULE,
            "face_recognition_model_v1.compute_face_descriptor",
            carrying("dlib.face_recognition_model_v1.compute_face_descriptor"),
        ),
        Hook(_MODULE, "chinese_whispers_clustering", comparing("dlib.chinese_whispers_clustering", COMPARE)),
    ),
    note="vectors that are compared with numpy are not seen",
)
