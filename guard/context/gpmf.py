"""Position and speed out of a payload of GPMF, the telemetry that GoPro's cameras write beside their pictures.

Written after the format's public description (https://github.com/gopro/gpmf-parser, README): big-endian items of a key,
a type, a size, a count and data padded to four bytes; devices (``DEVC``) hold streams (``STRM``), and a stream with
positions is ``GPS5`` with the quality of its fix in ``GPSF``, or, of newer cameras, ``GPS9`` with one in every sample.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from guard.context.fix import Fix

__all__ = ["DEVICE", "Malformed", "fix_of"]

DEVICE: Final = b"DEVC"
"""What a payload begins with."""

_HEADER: Final = struct.Struct(">4scBH")
_NESTED: Final = b"\0"
_SCALES: Final = {b"s": "h", b"S": "H", b"l": "i", b"L": "I"}
_GPS5: Final = struct.Struct(">5i")
_GPS9: Final = struct.Struct(">7i2H")
_GPS9_TYPE: Final = b"lllllllSS"
_LATITUDE, _LONGITUDE, _SPEED, _FIX = 0, 1, 3, 8
_FIXED: Final = (2, 3)


class Malformed(ValueError):
    """A payload that breaks the format."""


@dataclass(frozen=True, slots=True)
class _Item:
    """What stands under one key: `data` without its padding, `size` bytes a sample."""

    type: bytes
    size: int
    data: bytes


def fix_of(payload: bytes, at_s: float) -> Fix | None:
    """Where the camera was at `at_s`, and the speed that most samples of the payload reach; None without a fix.

    Of several receivers the faster counts. Raises `Malformed`.
    """
    found = [
        fix
        for device in _nested(payload, DEVICE)
        for stream in _nested(device, b"STRM")
        if (fix := _fix(dict(_items(stream)), at_s)) is not None
    ]
    return max(found, key=lambda fix: fix.speed_mps or 0.0, default=None)


def _items(data: bytes) -> Iterator[tuple[bytes, _Item]]:
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise Malformed("an item is cut off")
        key, type, size, count = _HEADER.unpack_from(data, at)
        if key == b"\0\0\0\0":
            return  # nothing follows
        at += _HEADER.size
        length = size * count
        if length > len(data) - at:
            raise Malformed("an item is longer than what holds it")
        yield key, _Item(type, size, data[at : at + length])
        at += length + -length % 4


def _nested(data: bytes, wanted: bytes) -> Iterator[bytes]:
    for key, item in _items(data):
        if key == wanted:
            if item.type != _NESTED:
                raise Malformed(f"{wanted.decode()} holds no items")
            yield item.data


def _fix(stream: dict[bytes, _Item], at_s: float) -> Fix | None:
    """Of one stream; None where it is no stream of positions or none of them is to be believed."""
    if b"GPS9" in stream:
        samples = _samples(stream, b"GPS9", b"?", _GPS9)
        fixed = [sample for sample in samples if sample[_FIX] in _FIXED]
    elif b"GPS5" in stream:
        samples = _samples(stream, b"GPS5", b"l", _GPS5)
        fixed = samples if _has_fix(stream) else []
    else:
        return None
    found = [Fix.of(at_s, sample[_LATITUDE], sample[_LONGITUDE], sample[_SPEED]) for sample in fixed]
    whole = [fix for fix in found if fix is not None]
    if not whole:
        return None
    speed_mps = median(fix.speed_mps or 0.0 for fix in whole)
    return Fix(at_s, whole[0].latitude, whole[0].longitude, speed_mps)


def _has_fix(stream: dict[bytes, _Item]) -> bool:
    item = stream.get(b"GPSF")
    return item is not None and item.type == b"L" and int.from_bytes(item.data, "big") in _FIXED


def _samples(stream: dict[bytes, _Item], key: bytes, type: bytes, sample: struct.Struct) -> list[tuple[float, ...]]:
    """The samples in their units: degrees, metres, metres a second."""
    item = stream[key]
    if item.type != type or item.size != sample.size:
        raise Malformed(f"{key.decode()} has samples of another kind")
    if type == b"?" and (b"TYPE" not in stream or stream[b"TYPE"].data != _GPS9_TYPE):
        raise Malformed(f"{key.decode()} says nothing of what its samples hold")
    raw = list(sample.iter_unpack(item.data))
    scales = _scales(stream, fields=len(raw[0])) if raw else ()
    return [tuple(value / scale for value, scale in zip(each, scales, strict=True)) for each in raw]


def _scales(stream: dict[bytes, _Item], *, fields: int) -> tuple[int, ...]:
    item = stream.get(b"SCAL")
    if item is None or item.type not in _SCALES:
        raise Malformed("positions without a scale")
    each = struct.Struct(f">{_SCALES[item.type]}")
    if len(item.data) not in (each.size, each.size * fields):
        raise Malformed("a scale is missing")
    found = tuple(scale for (scale,) in each.iter_unpack(item.data))
    if 0 in found:
        raise Malformed("a scale is zero")
    return found * fields if len(found) == 1 else found
