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
_JPEG_START_OF_SCAN, _JPEG_END, _JPEG_APP1 = 0xDA, 0xD9, 0xE1
_JPEG_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_WITH_ALPHA = (4, 6)
_WEBP_ANIMATED = 0x02
# Exif 2.32, section 4.6.4: tag 0x0112, 1 = the first row is the top, the first column is the left.
_ORIENTATION, _UPRIGHT = 0x0112, 1
# What a picture in the metadata begins with: as JPEG (EXIF, MPF, Photoshop, C2PA), as PNG, as base64 text in XMP.
_PICTURE_WITHIN = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GImg:image|GImage:Data")


@dataclass(frozen=True)
class Header:
    """What the file says of itself.

    `width` and `height` in pixels, as stored, before any rotation. `ambiguous`: readers may see different pictures,
    because EXIF asks for a turn (or makes no sense), because there is transparency, which some lay over a colour
    and some drop, or because another picture lies beside the one that is decoded: a thumbnail, a second picture, data
    after the end.
    """

    kind: Kind
    width: int
    height: int
    ambiguous: bool = False


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
        header = {"JPEG": _jpeg, "PNG": _png, "WebP": _webp}[kind](data)
    except IndexError:
        raise unreadable(kind, "it is truncated") from None
    if header.width < 1 or header.height < 1:
        raise unreadable(kind, "its header gives no size")
    return header


def unreadable(kind: Kind, why: str) -> SourceError:
    return SourceError(f"the {kind} picture cannot be read: {why}", where="picture", mend="send it again, whole")


def _jpeg(data: bytes) -> Header:
    size = (0, 0)
    scanned = ambiguous = False
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
            return Header("JPEG", *size, ambiguous or at < len(data))
        length = data[at] << 8 | data[at + 1]
        if marker in _JPEG_FRAMES:
            size = (data[at + 5] << 8 | data[at + 6], data[at + 3] << 8 | data[at + 4])
        elif marker in _JPEG_METADATA:
            ambiguous |= _PICTURE_WITHIN.search(data, at + 2, at + length) is not None
            if marker == _JPEG_APP1 and data[at + 2 : at + 6] == b"Exif":
                ambiguous |= _turned(data[at + 8 : at + length])
        at += length
        if marker == _JPEG_START_OF_SCAN:
            scanned = True
            following = _JPEG_NEXT_MARKER.search(data, at)
            if following is None:
                raise unreadable("JPEG", "it is truncated")
            at = following.start()


def _png(data: bytes) -> Header:
    size, ambiguous = (0, 0), False
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
            ambiguous = data[at + 17] in _PNG_WITH_ALPHA
        elif name == b"tRNS":
            ambiguous = True
        elif name == b"acTL":
            raise _animated("PNG")
        elif name == b"IEND":
            return Header("PNG", *size, ambiguous or end + 4 < len(data))
        elif name != b"IDAT":
            ambiguous |= _PICTURE_WITHIN.search(data, at + 8, end) is not None
            if name == b"eXIf":
                ambiguous |= _turned(data[at + 8 : end])
        at = end + 4


def _webp(data: bytes) -> Header:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise unreadable("WebP", "it is truncated")
    size, ambiguous = (0, 0), end + (end & 1) < len(data)
    at = 12
    while at + 8 <= end:
        name = data[at : at + 4]
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + length]
        if name == b"VP8X":
            if body[0] & _WEBP_ANIMATED:
                raise _animated("WebP")
            size = (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
        elif name == b"ALPH":
            ambiguous = True
        elif name in (b"ANIM", b"ANMF"):
            raise _animated("WebP")
        elif name == b"VP8 " and size == (0, 0):
            size = (
                int.from_bytes(body[6:8], "little") & 0x3FFF,
                int.from_bytes(body[8:10], "little") & 0x3FFF,
            )
        elif name == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            ambiguous |= bool(bits >> 28 & 1)
            if size == (0, 0):
                size = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        elif name not in (b"VP8 ", b"ICCP"):
            ambiguous |= _PICTURE_WITHIN.search(body) is not None
            if name == b"EXIF":
                ambiguous |= _turned(body.removeprefix(b"Exif\x00\x00"))
        at += 8 + length + (length & 1)
    return Header("WebP", *size, ambiguous)


def _turned(exif: bytes) -> bool:
    """Whether the first directory of a TIFF block has an orientation other than upright, or makes no sense."""
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        if at + size > len(exif):
            raise IndexError(at)
        return int.from_bytes(exif[at : at + size], order)

    try:
        first = number(4, 4)
        entries = [first + 2 + 12 * index for index in range(number(first, 2))]
        return any(number(at, 2) == _ORIENTATION and number(at + 8, 2) != _UPRIGHT for at in entries)
    except IndexError:
        return True


def _animated(kind: Kind) -> SourceError:
    return SourceError(
        f"the {kind} is animated, and only its first frame could be looked at",
        where="picture",
        mend="send its frames one by one",
    )
