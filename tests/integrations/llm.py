"""What the tests of the vision-language clients share: a picture, its data URL, and a look at what arrived."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from tests.conftest import BOX, POLICE

__all__ = ["CITY", "JPEG", "PATIENT", "PICTURE", "PNG", "PNG_TEXT", "PNG_URL", "arrived", "is_covered", "is_untouched"]

PATIENT = POLICE.replace('id = "bodycam"', 'id = "bodycam"\nmax_age_s = 60')
"""The first call of a library may take a second: it imports the rest of itself."""

CITY = PATIENT.replace('"US-OH"', '"US-CA", locality = "San Francisco"')
"""A source of the city whose law forbids identification whoever the service is; its pack is ``us_san_francisco``."""

PICTURE = np.random.default_rng(7).integers(1, 255, (120, 160, 3), dtype=np.uint8)
PNG = cv2.imencode(".png", PICTURE)[1].tobytes()
JPEG = cv2.imencode(".jpg", PICTURE)[1].tobytes()
PNG_TEXT = base64.b64encode(PNG).decode()
PNG_URL = "data:image/png;base64," + PNG_TEXT


def arrived(data: str | bytes) -> np.ndarray[Any, Any]:
    """The pixels of base64 text, a data URL or bytes, which must be a PNG as the one that was sent."""
    if isinstance(data, str):
        data = base64.b64decode(data.removeprefix("data:image/png;base64,"))
    assert data.startswith(b"\x89PNG")
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def is_covered(data: str | bytes) -> bool:
    """Whether the face of the fake detector was removed, and the rest left."""
    pixels = arrived(data)
    x1, y1, x2, y2 = BOX
    changed = (pixels != PICTURE).any(axis=2)
    return bool(changed[y1:y2, x1:x2].mean() > 0.9 and not changed[:, 150:].any())


def is_untouched(data: str | bytes) -> bool:
    return bool((arrived(data) == PICTURE).all())
