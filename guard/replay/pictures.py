"""A folder of pictures as a clip, in the order that a person would number them: 2 before 10."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from guard._imports import native
from guard.errors import SourceError
from guard.replay.clip import BrokeOff, Frame, Image
from guard.replay.suffixes import PICTURES

with native("cv2"):
    import cv2

__all__ = ["PictureClip", "open_pictures", "read_picture"]

PICTURES_PER_SECOND = Fraction(5)
"""Pictures carry no time stamps: this is how fast the annotated video shows them."""


def open_pictures(path: Path) -> PictureClip:
    """The pictures in the folder `path` (not below it), or the one picture `path`. `SourceError` where there
    is none.
    """
    if path.is_file():
        return PictureClip(path, [path])
    try:
        files = [p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".")]
    except OSError as error:
        raise SourceError("the folder cannot be read", where=str(path), mend=error.strerror) from None
    if not files:
        kinds = " ".join(sorted(PICTURES))
        raise SourceError("there is no picture in the folder", where=str(path), mend=f"it may hold {kinds}")
    return PictureClip(path, sorted(files, key=lambda p: _by_number(p.name)))


def read_picture(path: Path) -> Image | None:
    """The picture, upright (EXIF), H x W x 3 BGR uint8; None where it cannot be decoded."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else np.ascontiguousarray(image, dtype=np.uint8)


class PictureClip:
    """See `guard.replay.clip.Clip`."""

    live = False
    rate = PICTURES_PER_SECOND
    time_base = 1 / PICTURES_PER_SECOND
    pixel_aspect = Fraction(1)
    sound = None

    def __init__(self, path: Path, files: list[Path]) -> None:
        self.name = str(path)
        self.path = path if path.is_file() else None
        self.stem = path.stem if path.is_file() else path.resolve().name
        self.total: int | None = len(files)
        self._files = files

    def frames(self, listen: Callable[[Any], None] | None = None, *, every_s: float = 0.0) -> Iterator[Frame]:
        """One frame for each picture that can be read; `BrokeOff` at the end names those that could not."""
        bad: list[str] = []
        index = 0
        for position, file in enumerate(self._files):
            image = read_picture(file)
            if image is None:
                bad.append(file.name)
                continue
            yield Frame(index, position, float(position * self.time_base), image, None)
            index += 1
        if bad:
            some = ", ".join(bad[:3]) + (" ..." if len(bad) > 3 else "")
            if index == 0:
                raise SourceError("no picture can be decoded", where=self.name, mend=some)
            raise BrokeOff(f"{len(bad)} of {len(self._files)} pictures cannot be decoded: {some}", where=self.name)

    def close(self) -> None:
        """Nothing stays open between two pictures."""


def _by_number(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"([0-9]+)", name)]
