"""Eyes of the guard: find faces, hide faces, read and write still pictures.

Nothing here knows who anybody is. Names resolve on first use, so that importing the package loads neither
numpy, OpenCV nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guard.vision.detector import Detector, bare
    from guard.vision.payload import decode_picture, encode_like, is_unambiguous
    from guard.vision.picture import as_bgr
    from guard.vision.redaction import redact
    from guard.vision.video import is_video, sample_video

__all__ = [
    "Detector",
    "as_bgr",
    "bare",
    "decode_picture",
    "encode_like",
    "is_unambiguous",
    "is_video",
    "redact",
    "sample_video",
]

_HOMES = {
    "Detector": "detector",
    "as_bgr": "picture",
    "bare": "detector",
    "decode_picture": "payload",
    "encode_like": "payload",
    "is_unambiguous": "payload",
    "is_video": "video",
    "redact": "redaction",
    "sample_video": "video",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
