"""Position and speed out of the captions that DJI's drones write into a track of subtitles.

Two ways of writing were read in public files and in what others say of them; DJI describes neither. One states no
speed. In the other longitude stands first, and the horizontal speed is called ``H.S``.
"""

from __future__ import annotations

import re
from typing import Final

from guard.context.fix import Fix

__all__ = ["fix_of"]

_NUMBER: Final = r"([+-]?\d{1,3}(?:\.\d{1,12})?)"
_LATITUDE: Final = re.compile(rf"\[\s?latitude\s?:\s?{_NUMBER}\s?\]")
# "longtitude" is how many of them write it.
_LONGITUDE: Final = re.compile(rf"\[\s?longt?itude\s?:\s?{_NUMBER}\s?\]")
_PAIR: Final = re.compile(rf"\b(?:GPS|RTK)\s?\(\s?{_NUMBER},\s?{_NUMBER},")
_SPEED: Final = re.compile(rf"\bH\.S\s?{_NUMBER}\s?m/s")


def fix_of(text: str, at_s: float) -> Fix | None:
    """Where the caption says that the camera was; None where it says nothing of it, as other subtitles do."""
    latitude, longitude = _LATITUDE.search(text), _LONGITUDE.search(text)
    if latitude is not None and longitude is not None:
        return Fix.of(at_s, float(latitude[1]), float(longitude[1]))
    pair, speed = _PAIR.search(text), _SPEED.search(text)
    if pair is None:
        return None
    return Fix.of(at_s, float(pair[2]), float(pair[1]), None if speed is None else float(speed[1]))
