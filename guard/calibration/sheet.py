"""The contact sheet: the faces that only one of two detectors saw, side by side in one picture.

It is made of pieces of the footage: written for its owner's eyes only (mode 0600), and with every face hidden where
that is asked for.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from guard.calibration.comparing import Sighting
from guard.errors import GuardError
from guard.facts import Faces
from guard.vision import redact

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Sheet"]

_SIDE = 112
_ACROSS = 8
_MOST = 4 * _ACROSS
_TITLE, _LABEL = 28, 16
_INK, _PAPER = (235, 235, 235), 24


class Sheet:
    """Collects pieces and draws them: of each kind the best scored ones, at most 32.

    Args:
        path: the PNG to write.
        redacted: whether all faces in it are hidden, so that only what is around them shows.
    """

    def __init__(self, path: Path, *, redacted: bool = False) -> None:
        self.path = path
        self._redacted = redacted
        self._order = count()
        self._kept: dict[str, list[tuple[float, int, NDArray[np.uint8]]]] = {"first": [], "second": []}

    def add(self, image: NDArray[np.uint8], found: Iterable[Sighting], everybody: Faces) -> None:
        """Takes the pieces of a frame (H x W x 3 uint8 BGR) around faces that one detector alone saw.

        `everybody` are all faces of the frame, those of others included, who may stand beside them.
        """
        for each in found:
            kept = self._kept[each.alone or "first"]
            if len(kept) == _MOST and each.score <= kept[0][0]:
                continue
            entry = (each.score, next(self._order), self._piece(image, each, everybody))
            if len(kept) == _MOST:
                heapq.heapreplace(kept, entry)
            else:
                heapq.heappush(kept, entry)

    def write(self) -> Path | None:
        """Draws the sheet into its file; None, and no file, where there is nothing to show.

        Raises `GuardError` where it cannot be written.
        """
        parts = [
            self._part("only the second detector saw (missed, or its false alarms)", self._kept["second"]),
            self._part("only guard's detector saw", self._kept["first"]),
        ]
        if not any(self._kept.values()):
            return None
        _, data = cv2.imencode(".png", np.concatenate([part for part in parts if part is not None]))
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data.tobytes())
            os.replace(draft, self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            what = f"the contact sheet cannot be written: {error.strerror}"
            raise GuardError(what, where=str(self.path), mend="name another --out") from None
        return self.path

    def _piece(self, image: NDArray[np.uint8], seen: Sighting, everybody: Faces) -> NDArray[np.uint8]:
        """The surroundings of a face, three times its size, with its box and score."""
        x1, y1, x2, y2 = seen.box
        half = 1.5 * max(x2 - x1, y2 - y1, 8.0)
        left, top = round((x1 + x2) / 2 - half), round((y1 + y2) / 2 - half)
        side = max(1, round(2 * half))
        if self._redacted:
            image = redact(image, everybody)
        piece = np.full((side, side, 3), _PAPER, np.uint8)
        inside = image[max(0, top) : top + side, max(0, left) : left + side]
        y, x = max(0, -top), max(0, -left)
        piece[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        shrunk = cv2.resize(piece, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        scale = _SIDE / side
        corners = [(round((x - left) * scale), round((y - top) * scale)) for x, y in ((x1, y1), (x2, y2))]
        cv2.rectangle(shrunk, corners[0], corners[1], (60, 220, 250), 1)
        shrunk[-_LABEL:] = _PAPER
        _write(shrunk, f"{seen.score:.2f}  {x2 - x1:.0f} px", (3, _SIDE - 5), 0.36)
        return np.asarray(shrunk, np.uint8)

    def _part(self, title: str, kept: list[tuple[float, int, Any]]) -> NDArray[np.uint8] | None:
        if not kept:
            return None
        pieces = [piece for _, _, piece in sorted(kept, key=lambda entry: (-entry[0], entry[1]))]
        rows = -(-len(pieces) // _ACROSS)
        drawn = np.full((_TITLE + rows * _SIDE, _ACROSS * _SIDE, 3), _PAPER, np.uint8)
        _write(drawn, title, (6, _TITLE - 9), 0.5)
        for number, piece in enumerate(pieces):
            y, x = _TITLE + number // _ACROSS * _SIDE, number % _ACROSS * _SIDE
            drawn[y : y + _SIDE, x : x + _SIDE] = piece
        return drawn


def _write(image: Any, text: str, at: tuple[int, int], size: float) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
