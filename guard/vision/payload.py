"""Still pictures as bytes: what a call sends when it sends a file and not an array.

Only JPEG, PNG and WebP are read: they are what vision services accept, and each further format is a further
parser that meets bytes from anywhere. The size is read from the header before anything is decoded.

A file may show something else than `decode_picture` gives: where EXIF asks for a turn or pixels are transparent,
readers disagree, and a thumbnail, a second picture or data after the end are not looked at. `is_unambiguous` tells, and
a caller should then send what `encode_like` makes: it keeps no metadata. Animated PNG and WebP are refused, because
only their first frame would be looked at.
"""

from __future__ import annotations

from guard._imports import native

with native("numpy"):
    import numpy as np
with native("cv2"):
    import cv2

from guard.errors import SourceError
from guard.vision.headers import Kind, kind_of, read_header, unreadable
from guard.vision.picture import Picture, as_bgr

__all__ = ["MAX_PIXELS", "decode_picture", "encode_like", "is_unambiguous"]

#: Pixels of the largest picture that is decoded: 300 MB as an array.
MAX_PIXELS = 100_000_000
#: Quality of re-encoded JPEG and WebP: nothing visible is lost, the size stays near the original's.
QUALITY = 95


def decode_picture(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in a JPEG, PNG or WebP file: uint8 H x W x 3, BGR.

    A JPEG's EXIF orientation is applied: the array is the picture as people, and services that honour the
    tag, see it. 16-bit samples become 8-bit; alpha is dropped, so what lies under transparent pixels is
    looked at too.

    Raises:
        SourceError: another format, animated, truncated, damaged, or more than `max_pixels`.
    """
    header = read_header(data)
    limit = max_pixels // 10**6
    if header.width * header.height > max_pixels:
        raise SourceError(
            f"the {header.kind} picture is {header.width} x {header.height}, more than {limit} megapixels",
            where="picture",
            mend="scale it down before sending it",
        )
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise unreadable(header.kind, " ".join(str(error).split())) from error
    if decoded is None:
        raise unreadable(header.kind, "its data are damaged")
    if sorted(decoded.shape[:2]) != sorted((header.height, header.width)):
        raise unreadable(header.kind, "its size is not the one in its header")
    return as_bgr(decoded)


def is_unambiguous(data: bytes) -> bool:
    """Whether every reader of the file sees what `decode_picture` gives: nothing to turn, nothing transparent, no other
    picture in it.

    Where not, send ``encode_like(data, decode_picture(data))`` in its place: the pixels that were looked at.

    Raises:
        SourceError: as `decode_picture`.
    """
    return not read_header(data).ambiguous


_SUFFIX: dict[Kind, tuple[str, list[int]]] = {
    "JPEG": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY]),
    "PNG": (".png", []),
    "WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, QUALITY]),
}


def encode_like(data: bytes, picture: Picture) -> bytes:
    """`picture` as a file of the format that `data` has, without its metadata.

    A picture of `decode_picture` stands upright, so nothing is lost with the EXIF orientation.

    Args:
        data: the original file; only its first bytes are read.
        picture: uint8, H x W x 3, BGR (grey and BGRA work too).

    Raises:
        SourceError: `data` is none of the three formats, or `picture` cannot be encoded in it.
    """
    kind = kind_of(data)
    if kind is None:
        raise SourceError("not a JPEG, PNG or WebP picture", where="picture", mend="convert it to one of these")
    suffix, settings = _SUFFIX[kind]
    try:
        done, encoded = cv2.imencode(suffix, as_bgr(picture), settings)
    except cv2.error as error:
        raise _unwritable(kind, " ".join(str(error).split())) from error
    if not done:
        raise _unwritable(kind, "the encoder refused it")
    return encoded.tobytes()


def _unwritable(kind: Kind, why: str) -> SourceError:
    return SourceError(f"the picture cannot be written as {kind}: {why}", where="picture", mend="send it as PNG")
