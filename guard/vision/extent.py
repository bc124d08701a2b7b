"""Does a clip end before its own header says it should?

FFmpeg reads a cut-off file to its end and stops without an error, so a recording that lost its second half
would look like a short one. The three container families below state their own length; what they state is
compared with the file. Sources: ISO/IEC 14496-12 section 4.2 (boxes), RFC 8794 section 4 and RFC 9559 (EBML,
Matroska), the RIFF specification of 1991.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_bytes", "missing_in"]

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_BOX_TYPES = frozenset(
    {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"moof", b"uuid", b"pnot"}
)


def missing_bytes(path: Path) -> int:
    """Bytes by which the file at `path` is shorter than it says; 0 where it is whole or does not say.

    Raises `OSError` where the file cannot be read.
    """
    with open(path, "rb") as file:
        return missing_in(file, os.stat(path).st_size)


def missing_in(file: BinaryIO, size: int) -> int:
    """As `missing_bytes`, for an open file of `size` bytes, read from its beginning."""
    head = file.read(12)
    if head[4:8] in _BOX_TYPES:
        end = _end_of_boxes(file, size)
    elif head[:4] == _EBML:
        end = _end_of_segment(file)
    elif head[:4] in (b"RIFF", b"RF64"):
        end = _end_of_riff(file, size)
    else:
        end = size
    return max(0, end - size)


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last top-level box of an ISO media file ends. Garbage after the last box is not a cut."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # "to the end of the file"
            return size
        if length < 8 or not kind.isascii():
            return at
        at += length
    return at


def _end_of_segment(file: BinaryIO) -> int:
    """Where the Matroska segment ends; 0 for a live recording, which leaves the length open."""
    file.seek(4)
    header_length = _ebml_size(file)
    if header_length is None:
        return 0
    file.seek(header_length, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _ebml_size(file)
    return 0 if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """A variable-length integer; None where all its bits are ones, which means unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = (first[0] & (0xFF >> width)) << (8 * len(rest)) | int.from_bytes(rest, "big")
    return None if value == (1 << (7 * width)) - 1 else value


def _end_of_riff(file: BinaryIO, size: int) -> int:
    """Where the last RIFF chunk ends; an AVI above 1 GB is a row of them."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(8)
        if header[:4] != b"RIFF":
            return at
        length = int.from_bytes(header[4:], "little")
        if length in (0, 0xFFFFFFFF):  # never filled in: a recorder that writes to a pipe
            return size
        at += 8 + length + length % 2
    # The padding byte of the last chunk is often left out.
    return min(at, size) if at - size <= 1 else at
