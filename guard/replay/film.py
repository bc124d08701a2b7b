"""The film of a report: a small copy of the clip, without sound, in which no face is to be seen, whatever the verdict.

A face stays hidden for a moment before it is first and after it is last detected, and where nobody knows where the
faces are the whole picture is a mosaic. What is longer than fits into a page gets fewer and smaller frames.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from guard._imports import native
from guard.errors import GuardFault, SourceError
from guard.facts import Faces
from guard.replay.clip import Clip, Frame, Image, open_clip
from guard.replay.overlay import unrecognisable
from guard.replay.video import VideoWriter
from guard.vision import redact
from guard.vision.bridging import Bridged, Bridging

with native("numpy"):
    import numpy as np
with native("cv2"):
    import cv2

__all__ = ["MOST_BYTES", "Film", "FilmWriter"]

MOST_BYTES: Final = 8_000_000
"""The largest film that a report carries: a page of twelve megabytes still opens on a phone."""

_SIDE_PX: Final = 640
_CRF: Final = 29
_KEY_S: Final = 1

_NOBODY: Final = Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

_SMALLER: Final = ((480, 32, 6000), (320, 34, 3000), (240, 37, 1200), (160, 42, 500))
"""Longer side in pixels, rate factor and most frames of each attempt to fit."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film that is written.

    Attributes:
        name: of the file beside the report.
        sha256: of the file, in hexadecimal.
        width, height: in pixels.
        frames: how many it has.
        of_frames: how many the clip has.
    """

    name: str
    sha256: str
    width: int
    height: int
    frames: int
    of_frames: int


@dataclass(frozen=True, slots=True)
class _Small:
    """A frame of the film's size, and whether it is known where its faces are."""

    frame: Frame
    known: bool


class FilmWriter:
    """Writes the film: `add` every frame, then `close` or `abandon`. Raises `SourceError` where it cannot be written.

    Args:
        path: the file.
        clip: whose time stamps it keeps.
        most_bytes: what it may be long.
    """

    def __init__(self, path: Path, clip: Clip, *, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._writer = VideoWriter(path, clip, crf=_CRF, sound=False, key_every=_key_every(clip.rate))
        self._size = (0, 0)
        self._bridging: Bridging[_Small] | None = None
        self._frames = 0

    def add(self, frame: Frame, faces: Faces | None) -> None:
        """Takes a frame, with its faces in pixels of its image, None where they are unknown.

        It is written a moment later, when it is known which faces come into view in it.
        """
        if self._bridging is None:
            self._size = _even(frame.image, _SIDE_PX)
            self._bridging = Bridging(self._size)
        found = _NOBODY if faces is None else _scaled(faces, frame.image, self._size)
        small = _Small(replace(frame, image=_resized(frame.image, self._size)), faces is not None)
        self._write(self._bridging.add(small, found, frame.seconds))

    def close(self) -> Film | None:
        """Finishes the file, small enough for a page; None where there is no frame."""
        if self._bridging is not None:
            self._write(self._bridging.finish())
        if self._writer.close() is None:
            return None
        try:
            frames, (width, height) = _fit(self._path, self._size, self._frames, self._most_bytes)
        except BaseException:
            self._path.unlink()
            raise
        digest = sha256(self._path.read_bytes()).hexdigest()
        return Film(self._path.name, digest, width, height, frames, self._frames)

    def abandon(self) -> None:
        """Removes what was written; the film of an earlier run stays."""
        self._writer.abandon()

    def _write(self, ready: list[Bridged[_Small]]) -> None:
        for each in ready:
            self._writer.add(each.item.frame, _hidden(each))
            self._frames += 1


def _hidden(ready: Bridged[_Small]) -> Image:
    picture = ready.item.frame.image
    if not ready.item.known:
        return unrecognisable(picture)
    try:
        return redact(picture, ready.hidden)
    except GuardFault:  # a box that cannot be placed: then nobody knows where the face is
        return unrecognisable(picture)


def _fit(path: Path, size: tuple[int, int], frames: int, most_bytes: int) -> tuple[int, tuple[int, int]]:
    """Makes the film smaller until it fits; gives how many frames it has then, and their size.

    Raises `SourceError` where even the smallest attempt is too long.
    """
    for side, crf, most_frames in _SMALLER:
        if path.stat().st_size <= most_bytes:
            return frames, size
        frames, size = _again(path, side, crf, every=-(-frames // most_frames))
    if path.stat().st_size > most_bytes:
        raise SourceError(f"the film is longer than {most_bytes:,} bytes whatever is left out", where=str(path))
    return frames, size


def _again(path: Path, side: int, crf: int, *, every: int) -> tuple[int, tuple[int, int]]:
    """Writes the film anew, in place, with every so many-th frame."""
    smaller = path.with_name(f"{path.stem}.smaller{path.suffix}")
    with closing(open_clip(path)) as clip:
        writer = VideoWriter(smaller, clip, crf=crf, sound=False, key_every=_key_every(clip.rate / every))
        kept, size = 0, (0, 0)
        try:
            for frame in clip.frames():
                if frame.index % every:
                    continue
                size = size if kept else _even(frame.image, side)
                writer.add(frame, _resized(frame.image, size))
                kept += 1
            writer.close()
        except BaseException:
            writer.abandon()
            raise
    os.replace(smaller, path)
    return kept, size


def _key_every(rate: Fraction) -> int:
    return max(1, round(rate * _KEY_S))


def _even(image: Image, side_px: int) -> tuple[int, int]:
    """Width and height that keep the picture's shape, its longer side at most that long, both even."""
    height, width = image.shape[:2]
    scale = min(1.0, side_px / max(width, height))
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def _resized(image: Image, size: tuple[int, int]) -> Image:
    if image.shape[1::-1] == size:
        return image
    small: Any = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small, dtype=np.uint8)


def _scaled(faces: Faces, image: Image, size: tuple[int, int]) -> Faces:
    factor = np.array([size[0] / image.shape[1], size[1] / image.shape[0]] * 2, np.float32)
    return Faces(faces.boxes * factor, faces.scores)
