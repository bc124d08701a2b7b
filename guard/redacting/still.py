"""One still picture, redacted: the same format and size, upright, without metadata."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import SourceError
from guard.redacting.clip import Redacted, Redaction
from guard.vision import decode_picture, encode_like, redact

if TYPE_CHECKING:
    from guard.vision import Detector

__all__ = ["redact_picture"]


def redact_picture(picture: Path, out: Path, redaction: Redaction, *, detector: Detector) -> Redacted:
    """Writes `out`, a copy of `picture` with every detected face hidden.

    The pixels stand as EXIF says they should; EXIF with place, maker and thumbnail is not kept, nor is any other
    metadata, also where there is no face. The file gets its name when it is whole.

    Args:
        picture: a JPEG, PNG or WebP file.
        out: the file to write; it becomes the same format, whatever its name.
        redaction: how faces are found and hidden; `hold_s` means nothing here.
        detector: what finds them.

    Raises `SourceError` where the picture cannot be read or the file cannot be written.
    """
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise SourceError("the picture cannot be read", where=str(picture), mend=error.strerror) from None
    try:
        pixels = decode_picture(data)
        found = detector.detect(pixels, min_face_px=redaction.min_face_px, face_score=redaction.face_score)
        hidden = encode_like(data, redact(pixels, found, style=redaction.style, margin=redaction.margin))
    except SourceError as error:
        raise SourceError(error.what, where=str(picture), mend=error.mend) from None
    part = out.with_name(out.name + ".part")
    try:
        part.write_bytes(hidden)
        os.replace(part, out)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return Redacted(str(picture), out, frames=1, frames_with_faces=int(len(found) > 0), frames_bridged=0)
