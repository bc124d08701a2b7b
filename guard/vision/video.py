"""Videos as bytes: the first frame, one a second, and the last, which is how often vision services look at them.

Only MP4, QuickTime, Matroska, WebM and AVI are read, by name: a probing demuxer also knows play lists, which make it
open other files. What takes too long, is too long, or breaks off is an error, never "nothing was seen".
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

from guard._imports import native
from guard.errors import SourceError
from guard.vision.extent import missing_in
from guard.vision.orientation import matrix_of, upright
from guard.vision.payload import MAX_PIXELS
from guard.vision.picture import Picture

with native("numpy"):
    import numpy as np
with native("av"):
    import av

__all__ = ["MAX_SECONDS", "is_video", "sample_video"]

#: Seconds of the longest video that is looked at.
MAX_SECONDS = 30.0
#: Seconds between the frames that are looked at.
EVERY_S = 1.0
#: Seconds of this processor's work after which a video is given up; the wait for a busy machine does not count.
MAX_WORK_S = 4.0

_BOUNDS = {"max_pixels": str(MAX_PIXELS)}

_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_STILL_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"crx ")


def is_video(data: bytes) -> bool:
    """Whether the first bytes are those of a container that `sample_video` reads."""
    return _container(data) is not None


def _container(data: bytes) -> str | None:
    if data[4:8] in _ATOMS:
        is_still = data[4:8] == b"ftyp" and data[8:12] in _STILL_BRANDS
        return None if is_still else "mov"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    return None


def sample_video(data: bytes, *, max_pixels: int = 3 * MAX_PIXELS) -> list[Picture]:
    """Frames of the video, upright, each uint8 H x W x 3 BGR: the first, one every `EVERY_S`, the last.

    Args:
        data: the whole file.
        max_pixels: of all frames that are given, together.

    Raises:
        SourceError: another format, damaged or truncated, longer than `MAX_SECONDS`, several pictures at a time (two
            video streams, a cover), or more work than `MAX_WORK_S` and `max_pixels` allow.
    """
    kind = _container(data)
    if kind is None:
        raise _unreadable("it is no MP4, MOV, MKV, WebM or AVI")
    if missing_in(io.BytesIO(data), len(data)):
        raise _unreadable("it is truncated")
    try:
        with av.open(io.BytesIO(data), format=kind, metadata_errors="ignore", options=dict(_BOUNDS)) as container:
            return _sample(container, max_pixels)
    except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
        raise _unreadable(" ".join(str(error).split())) from error


def _sample(container: Any, max_pixels: int) -> list[Picture]:
    started = time.thread_time()
    if len(container.streams.video) != 1:
        raise _unreadable(f"it has {len(container.streams.video)} streams of pictures")
    stream = container.streams.video[0]
    lasts_s = None if container.duration is None else container.duration / av.time_base
    if lasts_s is not None and lasts_s > MAX_SECONDS:
        raise _too_long()
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        raise _unreadable(f"its frames have more than {MAX_PIXELS // 10**6} megapixels")
    found: list[Picture] = []
    first_s = at_s = due_s = None
    last = None
    for frame in _frames(container, stream):
        if time.thread_time() - started > MAX_WORK_S:
            raise _unreadable(f"looking at it takes more than {MAX_WORK_S:g} s")
        if frame.is_corrupt or frame.time is None:
            raise _unreadable("a frame is damaged")
        at_s = frame.time
        first_s = at_s if first_s is None else first_s
        if at_s - first_s > MAX_SECONDS:
            raise _too_long()
        if due_s is None or at_s >= due_s:
            due_s = at_s + EVERY_S
            max_pixels = _take(frame, found, max_pixels)
            last = None
        else:
            last = frame
    if last is not None:
        _take(last, found, max_pixels)
    if not found:
        raise _unreadable("it has no frame")
    return found


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    stream.codec_context.thread_type = "NONE"
    # Frames may change their size on the way; the decoder is told before it makes room for one.
    stream.codec_context.options = {"err_detect": "explode", **_BOUNDS}
    yield from container.decode(stream)


def _take(frame: Any, found: list[Picture], left: int) -> int:
    left -= frame.width * frame.height
    if left < 0:
        raise _unreadable("its frames have too many pixels together")
    matrix = next((bytes(entry) for entry in _side_data(frame) if entry.type.name == "DISPLAYMATRIX"), None)
    picture = upright(frame.to_ndarray(format="bgr24"), matrix_of(matrix))
    found.append(np.ascontiguousarray(picture))
    return left


def _side_data(frame: Any) -> Iterator[Any]:
    # PyAV gives the entries themselves, or their keys, by version.
    for entry in frame.side_data:
        yield entry if hasattr(entry, "type") else frame.side_data[entry]


def _too_long() -> SourceError:
    return SourceError(
        f"the video is longer than {MAX_SECONDS:g} s",
        where="video",
        mend="send pieces of it, or its frames one by one",
    )


def _unreadable(why: str) -> SourceError:
    return SourceError(f"the video cannot be read: {why}", where="video", mend="send its frames one by one")
