"""face_recognition: encodings of faces, and their comparison. Underneath is dlib, which has hooks of its own.

Finding faces and landmarks (`face_locations`, `face_landmarks`) identifies nobody.
"""

from __future__ import annotations

from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import carrying, comparing

__all__ = ["ADAPTER"]

_MODULE = "face_recognition.api"

ADAPTER = Adapter(
    name="face_recognition",
    distributions=("face-recognition",),
    supported=">=1.2.3,<2",
    hooks=(
        Hook(_MODULE, "face_encodings", carrying("face_recognition.face_encodings")),
        Hook(_MODULE, "compare_faces", comparing("face_recognition.compare_faces")),
        Hook(_MODULE, "face_distance", comparing("face_recognition.face_distance")),
    ),
    note="vectors that are compared with numpy are not seen",
)
