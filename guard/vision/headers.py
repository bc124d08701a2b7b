"""Size, completeness and stillness of a JPEG, PNG or WebP file, read without decoding a pixel.

A decoder given half a JPEG fills the rest with grey and says nothing; here that is an error, because what
was not there could not be looked at. Sources: ITU-T T.81 annex B (JPEG), W3C PNG third edition sections 5
and 11, RFC 9649 (WebP).
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Literal

from guard.errors import SourceError

__all__ = ["Header", "Kind", "kind_of", "read_header", "unreadable"]

Kind = Literal["JPEG", "PNG", "WebP"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# After a scan's header: the next marker that is neither a stuffed byte, a restart nor fill.
_JPEG_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_JPEG_START_OF_SCAN, _JPEG_END = 0xDA, 0xD9
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WEBP_ANIMATED = 0x02


@dataclass(frozen=True)
class Header:
    """What the file says of itself: `width` and `height` in pixels, as stored, before any rotation."""

    kind: Kind
    width: int
    height: int


def kind_of(data: bytes) -> Kind | None:
    """The format by its first bytes, None where it is none of the three."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == _PNG_SIGNATURE:
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return None


def read_header(data: bytes) -> Header:
    """Raises SourceError: another format, truncated, damaged or animated."""
    kind = kind_of(data)
    if kind is None:
        raise SourceError(
            "not a JPEG, PNG or WebP picture" if data else "the picture has no bytes",
            where="picture",
            mend="convert it to one of these",
        )
    try:
        width, height = {"JPEG": _jpeg, "PNG": _png, "WebP": _webp}[kind](data)
    except IndexError:
        raise unreadable(kind, "it is truncated") from None
    if width < 1 or height < 1:
        raise unreadable(kind, "its header gives no size")
    return Header(kind, width, height)


def unreadable(kind: Kind, why: str) -> SourceError:
    return SourceError(f"the {kind} picture cannot be read: {why}", where="picture", mend="send it again, whole")


def _jpeg(data: bytes) -> tuple[int, int]:
    size = (0, 0)
    scanned = False
    at = 2
    while True:
        if data[at] != 0xFF:
            raise unreadable("JPEG", "its segments are damaged")
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker == _JPEG_END:
            if not scanned:
                raise unreadable("JPEG", "it holds no picture")
            return size
        length = data[at] << 8 | data[at + 1]
        if marker in _JPEG_FRAMES:
            size = (data[at + 5] << 8 | data[at + 6], data[at + 3] << 8 | data[at + 4])
        at += length
        if marker == _JPEG_START_OF_SCAN:
            scanned = True
            following = _JPEG_NEXT_MARKER.search(data, at)
            if following is None:
                raise unreadable("JPEG", "it is truncated")
            at = following.start()


def _png(data: bytes) -> tuple[int, int]:
    size = (0, 0)
    at = len(_PNG_SIGNATURE)
    while True:
        length = int.from_bytes(data[at : at + 4])
        name = data[at + 4 : at + 8]
        end = at + 8 + length
        if end + 4 > len(data):
            raise unreadable("PNG", "it is truncated")
        if zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise unreadable("PNG", "a checksum does not fit")
        if name == b"IHDR":
            size = (int.from_bytes(data[at + 8 : at + 12]), int.from_bytes(data[at + 12 : at + 16]))
        elif name == b"acTL":
            raise _animated("PNG")
        elif name == b"IEND":
            return size
        at = end + 4


def _webp(data: bytes) -> tuple[int, int]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise unreadable("WebP", "it is truncated")
    size = (0, 0)
    at = 12
    while at + 8 <= end:
        name = data[at : at + 4]
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + length]
        if name == b"VP8X":
            if body[0] & _WEBP_ANIMATED:
                raise _animated("WebP")
            size = (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
        elif name in (b"ANIM", b"ANMF"):
            raise _animated("WebP")
        elif name == b"VP8 " and size == (0, 0):
            size = (
                int.from_bytes(body[6:8], "little") & 0x3FFF,
                int.from_bytes(body[8:10], "little") & 0x3FFF,
            )
        elif name == b"VP8L" and size == (0, 0):
            bits = int.from_bytes(body[1:5], "little")
            size = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        at += 8 + length + (length & 1)
    return size


def _animated(kind: Kind) -> SourceError:
    return SourceError(
        f"the {kind} is animated, and only its first frame could be looked at",
        where="picture",
        mend="send its frames one by one",
    )
