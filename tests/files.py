"""Picture files as cameras and editors write them: with a place, a maker, a thumbnail and a second picture."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["jpeg_with", "photograph"]

Picture = NDArray[np.uint8]


def photograph(suffix: str, picture: Picture, *, thumbnail: bool = False) -> bytes:
    """`picture` as a file; with `thumbnail` all that can stand beside its pixels, each with ``SECRET`` in it."""
    plain = _encoded(suffix, picture)
    if not thumbnail:
        return plain
    small = _encoded(".jpg", cv2.resize(picture, (40, 30)))
    exif = tiff(1, place=True, thumbnail=small)
    if suffix == ".jpg":
        return jpeg_with(picture, orientation=1, place=True, thumbnail=small)
    if suffix == ".png":
        texts = [
            (b"tEXt", b"Location\0SECRET"),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0SECRET"),
            (b"caBX", b"SECRET c2pa"),
        ]
        chunks = b"".join(_chunk(name, body) for name, body in [(b"eXIf", exif), *texts])
        return plain[:33] + chunks + plain[33:]
    return _extended_webp(plain, picture.shape[1], picture.shape[0], [(b"EXIF", exif), (b"XMP ", b"SECRET xmp")])


def jpeg_with(picture: Picture, *, orientation: int, place: bool = False, thumbnail: bytes | None = None) -> bytes:
    """A JPEG whose EXIF says that it is to be turned; with a thumbnail also XMP, a second picture (MPF), C2PA."""
    plain = _encoded(".jpg", picture)
    segments = [(0xE1, b"Exif\0\0" + tiff(orientation, place=place, thumbnail=thumbnail))]
    if thumbnail is None:
        return plain[:2] + _segments(segments) + plain[2:]
    segments += [
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>SECRET</x:xmpmeta>"),
        (0xE2, b"MPF\0SECRET"),
        (0xEB, b"JP\0\0SECRET c2pa"),
        (0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x0c" + thumbnail),
        (0xFE, b"SECRET comment"),
    ]
    return plain[:2] + _segments(segments) + plain[2:] + thumbnail + b"SECRET"


def tiff(orientation: int, *, place: bool = False, thumbnail: bytes | None = None) -> bytes:
    """An EXIF block: the orientation; a place in the GPS directory; a thumbnail in the second directory."""
    entries: list[tuple[int, int, int, int]] = [(0x0112, 3, 1, orientation)]
    size = 2 + 12 * (1 + place) + 4
    gps_at = 8 + size
    gps = (
        b""
        if not place
        else struct.pack("<HHHI", 1, 0x001B, 2, 7) + struct.pack("<I", gps_at + 18) + bytes(4) + b"SECRET\0"
    )
    if place:
        entries.append((0x8825, 4, 1, gps_at))
    second_at = gps_at + len(gps) if thumbnail is not None else 0
    first = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    block = b"II*\0" + struct.pack("<I", 8) + first + struct.pack("<I", second_at) + gps
    if thumbnail is None:
        return block
    second = struct.pack("<H", 2)
    second += struct.pack("<HHII", 0x0201, 4, 1, second_at + 2 + 24 + 4)
    second += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)) + bytes(4)
    return block + second + thumbnail


def _encoded(suffix: str, picture: Picture) -> bytes:
    done, data = cv2.imencode(suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == ".jpg" else [])
    assert done
    return bytes(data)


def _segments(segments: list[tuple[int, bytes]]) -> bytes:
    return b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _extended_webp(plain: bytes, width: int, height: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    flags = 0x08 | 0x04  # EXIF, XMP
    head = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = _riff(b"VP8X", head) + plain[12:] + b"".join(_riff(name, data) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _riff(name: bytes, body: bytes) -> bytes:
    padding: Any = bytes(len(body) % 2)
    return name + struct.pack("<I", len(body)) + body + padding
