"""Draws what the guard decided onto a frame: faces boxed or hidden, and a banner below the picture.

A face is shown only where the call was allowed. Where it was redacted, denied or failed, every face is made
unrecognisable, and where nobody knows where the faces are, the whole picture is: the annotated video is a
copy of personal data, and it must not be worse than the call that was stopped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from guard._imports import native
from guard.errors import GuardFault
from guard.facts import Faces, Verdict
from guard.matchers import Match
from guard.replay.clip import Image
from guard.vision import redact

with native("cv2"):
    import cv2

if TYPE_CHECKING:
    from guard.facts import Decision
    from guard.replay.result import Calls

__all__ = ["Canvas", "Scene", "scene_of", "unrecognisable"]

Colour = tuple[int, int, int]

_MIN_WIDTH = 176
"""Narrower pictures are enlarged, so that the banner can be read."""
_MAX_SIDE = 1920

_BANNER: dict[str, Colour] = {  # blue, green, red; white text on each has a contrast of 5:1 or more
    "allow": (54, 110, 24),
    "redact": (20, 88, 168),
    "deny": (40, 30, 160),
    "fault": (130, 40, 110),
}
_WORD = {"allow": "ALLOWED", "redact": "REDACTED", "deny": "DENIED", "fault": "FAULT"}
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be shown of one frame.

    Attributes:
        verdict: allow, redact, deny or fault.
        rule: id of the first rule that forbade, and how many more did; or what else stands beside the verdict.
        title: what the rule says, or why the guard failed.
        faces: what the detector saw, None where unknown.
        matches: whom the matcher recognised.
        shadow: the verdict was not enforced.
        hidden: what is hidden where the call was not allowed: `faces`, and those that were seen a moment ago; None for
            `faces` alone.
    """

    verdict: str
    rule: str
    title: str
    faces: Faces | None
    matches: Sequence[Match] = ()
    shadow: bool = False
    hidden: Faces | None = None

    @property
    def headline(self) -> str:
        """The first line of the banner."""
        word = _WORD[self.verdict]
        if self.shadow:
            word = f"SHADOW: {word if self.verdict in ('allow', 'fault') else f'would be {word}'}"
        return f"{word}  {self.rule}".rstrip()


def scene_of(decision: Decision | None, calls: Calls, faces: Faces | None, matches: Sequence[Match]) -> Scene:
    """What is to be shown of a frame in which one of `calls` was decided; `decision` None = the guard gave none."""
    call = f"{calls.action or 'unnamed call'} at {calls.service}"
    if decision is None or decision.fault is not None:
        fault = "the guard could not judge" if decision is None else str(decision.fault)
        return Scene("fault", call, fault, faces, shadow=decision is not None and not decision.enforced)
    shadow = not decision.enforced
    if decision.verdict is Verdict.ALLOW:
        return Scene("allow", call, "no rule forbids this call", faces, matches, shadow=shadow)
    if not decision.reasons:
        return Scene(decision.verdict.value, call, call, faces, shadow=shadow)
    first, *others = dict.fromkeys(reason.rule for reason in decision.reasons)
    rule = f"{first} +{len(others)}" if others else first
    title = f"{decision.reasons[0].title} ({decision.reasons[0].cite})"
    return Scene(decision.verdict.value, rule, title, faces, shadow=shadow)


class Canvas:
    """The size of the annotated video: that of the clip's first frame, with even sides and a banner below.

    Args:
        width, height: of the first frame, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._scale = min(_MAX_SIDE / max(width, height), max(1.0, _MIN_WIDTH / width))
        self._inner = (max(2, round(width * self._scale)), max(2, round(height * self._scale)))
        self._text = min(0.9, max(0.36, self._inner[0] / 1600))
        line = cv2.getTextSize("Ag", cv2.FONT_HERSHEY_DUPLEX, self._text, 1)
        self._line_px = line[0][1] + line[1] + max(3, line[0][1] // 3)
        self._pad_px = max(3, self._inner[0] // 160)
        banner = 2 * self._line_px + 2 * self._pad_px
        self.width = self._inner[0] + self._inner[0] % 2
        self.height = self._inner[1] + banner + (self._inner[1] + banner) % 2

    def draw(self, image: Image, scene: Scene) -> Image:
        """The annotated frame, `height` x `width` x 3 uint8 BGR; `image` is left as it is."""
        scale = min(self._inner[0] / image.shape[1], self._inner[1] / image.shape[0])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture: NDArray[Any] = image if size == image.shape[1::-1] else cv2.resize(image, size, interpolation=way)
        picture = self._with_faces(picture, scale, scene)
        canvas = np.zeros((self.height, self.width, 3), dtype=np.uint8)
        canvas[self._inner[1] :] = _BANNER[scene.verdict]
        canvas[: size[1], : size[0]] = picture
        self._write(canvas, scene)
        return canvas

    def _with_faces(self, picture: NDArray[Any], scale: float, scene: Scene) -> NDArray[Any]:
        if scene.verdict != "allow" and scene.faces is None:
            return unrecognisable(picture)
        if scene.faces is None:
            return picture.copy()
        hidden = scene.faces if scene.hidden is None else scene.hidden
        shown = picture.copy() if scene.verdict == "allow" else _hidden(picture, _scaled(hidden, scale))
        width = max(1, round(self._inner[0] / 480))
        for box in _scaled(scene.faces, scale).boxes:
            _box(shown, box, _lighter(_BANNER[scene.verdict]), width)
        for match in scene.matches:
            self._label(shown, match, scale)
        return shown

    def _label(self, picture: NDArray[Any], match: Match, scale: float) -> None:
        x1, _, _, y2 = (round(value * scale) for value in match.box)
        text = _plain(f"{match.name} {match.score:.2f}")
        (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, self._text, 1)
        left = max(0, min(x1, picture.shape[1] - width - 4))
        top = max(0, min(y2 + 2, picture.shape[0] - height - below - 4))
        cv2.rectangle(picture, (left, top), (left + width + 4, top + height + below + 2), _BANNER["allow"], -1)
        _put(picture, text, (left + 2, top + height + 1), cv2.FONT_HERSHEY_DUPLEX, self._text)

    def _write(self, canvas: NDArray[Any], scene: Scene) -> None:
        room = self.width - 2 * self._pad_px
        count = "" if scene.faces is None else f"faces {len(scene.faces)}"
        verdict = _plain(scene.headline)
        first = self._inner[1] + self._pad_px + self._line_px - self._line_px // 4
        taken = _width(verdict, cv2.FONT_HERSHEY_DUPLEX, self._text)
        wide = _width(count, cv2.FONT_HERSHEY_SIMPLEX, self._text)
        if count and taken + wide + 4 * self._pad_px <= room:
            place = (self.width - self._pad_px - wide, first)
            _put(canvas, count, place, cv2.FONT_HERSHEY_SIMPLEX, self._text)
        verdict = _fitting(verdict, room, cv2.FONT_HERSHEY_DUPLEX, self._text)
        _put(canvas, verdict, (self._pad_px, first), cv2.FONT_HERSHEY_DUPLEX, self._text)
        title = _fitting(_plain(scene.title), room, cv2.FONT_HERSHEY_SIMPLEX, self._text)
        _put(canvas, title, (self._pad_px, first + self._line_px), cv2.FONT_HERSHEY_SIMPLEX, self._text)


def _scaled(faces: Faces, scale: float) -> Faces:
    return Faces((faces.boxes * np.float32(scale)).astype(np.float32), faces.scores)


def _hidden(picture: NDArray[Any], faces: Faces) -> NDArray[Any]:
    try:
        return redact(picture, faces, style="pixelate")
    except GuardFault:  # a box that cannot be placed: then nobody knows where the face is
        return unrecognisable(picture)


def unrecognisable(picture: NDArray[Any]) -> NDArray[Any]:
    """A mosaic of at most four fields along the longer side, as over a face: one may fill the whole picture."""
    height, width = picture.shape[:2]
    everything = Faces(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))
    return redact(picture, everything, style="pixelate", margin=0.0)


def _box(picture: NDArray[Any], box: NDArray[np.float32], colour: Colour, width: int) -> None:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)


def _lighter(colour: Colour) -> Colour:
    blue, green, red = (min(255, value * 2 + 30) for value in colour)
    return blue, green, red


def _width(text: str, font: int, scale: float) -> int:
    return int(cv2.getTextSize(text, font, scale, 1)[0][0])


def _fitting(text: str, room: int, font: int, scale: float) -> str:
    """`text`, cut at its end until it fits into `room` pixels."""
    if _width(text, font, scale) <= room:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _width(text[:middle].rstrip() + "...", font, scale) <= room:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "..."


def _put(picture: NDArray[Any], text: str, at: tuple[int, int], font: int, scale: float) -> None:
    cv2.putText(picture, text, at, font, scale, _WHITE, 1, cv2.LINE_AA)


def _plain(text: str) -> str:
    """`text` in the letters that OpenCV 4 can draw."""
    text = text.replace("\u2013", "-").replace("\u2014", "-").replace("\u2019", "'").replace("\u00a7", "s.")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
