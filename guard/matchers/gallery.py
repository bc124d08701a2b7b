"""The gallery: a folder of portraits. The file's name, or the name of its folder, is the person's.

::

    gallery/
        alice.jpg
        bob/front.png
        bob/side.png
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard._imports import native
from guard.errors import SourceError

with native("cv2"):
    import cv2

__all__ = ["Box", "Portrait", "References", "read_gallery"]

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_LONG_SIDE_PX = 1600
"""A photograph from a phone is far larger than any matcher needs."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Portrait:
    """One picture of the gallery with the face that counts in it. `face` is the matcher's own record of it."""

    person: str
    picture: NDArray[np.uint8]
    face: Any


class References:
    """The templates of a gallery, one row for each portrait.

    Making a template is an identity action of its own (enrolment), so nothing is made before the first call
    that was let through: `vectors` is called then, once.
    """

    def __init__(self, portraits: Sequence[Portrait], template: Callable[[Portrait], NDArray[np.float32]]) -> None:
        self.people = [portrait.person for portrait in portraits]
        self._portraits: Sequence[Portrait] = portraits
        self._template = template
        self._vectors: NDArray[np.float32] | None = None

    @property
    def enrolled(self) -> bool:
        """True once the templates were made."""
        return self._vectors is not None

    def vectors(self) -> NDArray[np.float32]:
        """N x D float32, in the order of `people`."""
        if self._vectors is None:
            self._vectors = np.stack([self._template(portrait) for portrait in self._portraits]).astype(np.float32)
            self._portraits = ()
        return self._vectors


def read_gallery(
    folder: Path | None, find: Callable[[NDArray[np.uint8]], Sequence[tuple[Box, Any]]]
) -> tuple[list[Portrait], tuple[str, ...]]:
    """The portraits in `folder` in which `find` sees a face, and what is wrong with the others, one line
    each.

    Of several faces in one picture the largest counts. Raises `SourceError` where not one portrait can be
    used.
    """
    if folder is None:
        raise SourceError("the matcher needs a gallery", where="--gallery", mend="name a folder of portraits, name.jpg")
    if not folder.is_dir():
        raise SourceError("there is no such gallery", where=str(folder), mend="name a folder of portraits, name.jpg")
    portraits: list[Portrait] = []
    warnings: list[str] = []
    for person, path in _files(folder):
        shown = path.relative_to(folder)
        picture = _read(path)
        if picture is None:
            warnings.append(f"gallery: {shown} cannot be decoded, left out")
            continue
        faces = find(picture)
        if not faces:
            warnings.append(f"gallery: no face found in {shown}, left out")
            continue
        if len(faces) > 1:
            warnings.append(f"gallery: {len(faces)} faces in {shown}, the largest counts")
        _, face = max(faces, key=lambda item: _area(item[0]))
        portraits.append(Portrait(person, picture, face))
    if not portraits:
        cause = "; ".join(warnings[:2]) if warnings else "it holds no picture"
        raise SourceError(f"the gallery has no portrait that can be used: {cause}", where=str(folder))
    return portraits, tuple(warnings)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            for path in sorted(entry.iterdir()):
                if path.suffix.lower() in _PICTURES and not path.name.startswith("."):
                    yield entry.name, path
        elif entry.suffix.lower() in _PICTURES:
            yield entry.stem, entry


def _read(path: Path) -> NDArray[np.uint8] | None:
    try:
        data = np.fromfile(path, dtype=np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    if picture is None:
        return None
    scale = _LONG_SIDE_PX / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture, dtype=np.uint8)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
