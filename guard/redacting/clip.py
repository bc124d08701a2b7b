"""One clip, redacted: its faces are found in a first pass and hidden in a second.

Two passes, since a face has to be hidden in the frames in which it came into view, before it was first detected, and a
clip is longer than memory. The second pass reads the same frames as the first, or the copy is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard._imports import native
from guard.errors import SourceError
from guard.facts import Faces
from guard.replay.clip import BrokeOff, Clip, Frame, Image, open_clip
from guard.replay.stopping import Stop
from guard.replay.video import VideoWriter
from guard.vision import redact
from guard.vision.memory import HOLD_S, bridged

with native("cv2"):
    import cv2

if TYPE_CHECKING:
    from guard.vision import Detector
    from guard.vision.redaction import Style

__all__ = ["Redacted", "Redaction", "redact_clip"]


@dataclass(frozen=True, slots=True)
class Redaction:
    """How faces are found and hidden.

    Attributes:
        style: ``solid``, ``pixelate`` or ``blur``; see `guard.vision.redact`.
        margin: how far a region reaches beyond its box, as a part of the box.
        min_face_px: smallest face width that matters, in pixels of the clip.
        face_score: detection threshold, 0 to 1.
        hold_s: seconds for which a face stays hidden before it is first and after it is last detected.
    """

    style: Style = "solid"
    margin: float = 0.25
    min_face_px: int = 32
    face_score: float = 0.5
    hold_s: float = HOLD_S


@dataclass(frozen=True, slots=True)
class Redacted:
    """What came of a clip.

    Attributes:
        clip: its name.
        out: the redacted video.
        frames: how many frames it has.
        frames_with_faces: in how many of them a face was detected.
        frames_bridged: in how many of them only memory hid a face that the detector missed.
        broke_off: why the clip ended before its end, None where it did not.
        notes: what the user should know of the file.
    """

    clip: str
    out: Path
    frames: int
    frames_with_faces: int
    frames_bridged: int
    broke_off: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """An entry of ``guard.redact/1``."""
        return {
            "clip": self.clip,
            "out": str(self.out),
            "frames": self.frames,
            "frames_with_faces": self.frames_with_faces,
            "frames_bridged": self.frames_bridged,
            "broke_off": self.broke_off,
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class _Seen:
    """The first pass: what was found, frame by frame."""

    faces: list[Faces]
    seconds: list[float]
    pts: list[int]
    size: tuple[int, int] = (0, 0)
    broke_off: str | None = None


def redact_clip(
    clip: Path,
    out: Path,
    redaction: Redaction,
    *,
    detector: Detector,
    progress: Callable[[float], None] | None = None,
    stop: Stop | None = None,
) -> Redacted:
    """Writes `out`, an MP4 of `clip` with every face hidden, its sound and its time stamps kept, upright.

    Nothing else is kept: neither metadata nor a second stream of video or sound. The file gets its name when it is
    whole, and a half-written one is removed.

    Args:
        clip: a video file or a folder of pictures.
        out: the file to write.
        redaction: how faces are found and hidden.
        detector: what finds them.
        progress: called with the part that is done, 0 to 1.
        stop: asked between two frames whether to end; what was written is removed then.

    Raises `SourceError` where the clip cannot be read or the file cannot be written, `KeyboardInterrupt` where it was
    asked to stop. A clip that breaks off is redacted up to there, and `Redacted.broke_off` says so.
    """
    stop = stop or Stop()
    part = _Progress(progress)
    seen = _look(open_clip(clip), redaction, detector, stop, part)
    hidden = bridged(seen.faces, seen.seconds, seen.size, hold_s=redaction.hold_s)
    notes = _write(open_clip(clip), out, seen, hidden, redaction, stop, part)
    bridging = sum(len(all_of) > len(found) for found, all_of in zip(seen.faces, hidden, strict=True))
    return Redacted(
        clip=str(clip),
        out=out,
        frames=len(seen.faces),
        frames_with_faces=sum(len(found) > 0 for found in seen.faces),
        frames_bridged=bridging,
        broke_off=seen.broke_off,
        notes=tuple(notes),
    )


def _look(clip: Clip, redaction: Redaction, detector: Detector, stop: Stop, part: _Progress) -> _Seen:
    if clip.live:
        clip.close()
        raise SourceError("a live clip cannot be read twice", where=clip.name, mend="record it, then redact the file")
    seen = _Seen([], [], [])
    with closing(clip):
        try:
            for frame in clip.frames():
                _check(stop)
                found = detector.detect(frame.image, min_face_px=redaction.min_face_px, face_score=redaction.face_score)
                seen.faces.append(_in_first_size(found, frame.image, seen))
                seen.seconds.append(frame.seconds)
                seen.pts.append(frame.pts)
                part.first(len(seen.faces), clip.total)
        except BrokeOff as error:
            if not seen.faces:
                raise
            seen.broke_off = str(error)
    return seen


def _in_first_size(found: Faces, image: Image, seen: _Seen) -> Faces:
    """The faces in pixels of the first frame: a clip that changes its size is written in that one."""
    height, width = image.shape[:2]
    if not seen.faces:
        seen.size = (width, height)
    if (width, height) == seen.size or not len(found):
        return found
    factor = (seen.size[0] / width, seen.size[1] / height)
    return Faces((found.boxes * (*factor, *factor)).astype("float32"), found.scores)


def _write(
    clip: Clip, out: Path, seen: _Seen, hidden: list[Faces], redaction: Redaction, stop: Stop, part: _Progress
) -> list[str]:
    writer = VideoWriter(out, clip)
    done = 0
    try:
        with closing(clip):
            try:
                for frame in clip.frames(writer.listen):
                    _check(stop)
                    if done >= len(hidden) or frame.pts != seen.pts[done]:
                        raise _changed(clip)
                    writer.add(frame, _redacted(frame, seen.size, hidden[done], redaction))
                    done += 1
                    part.second(done, len(hidden))
            except BrokeOff:
                if seen.broke_off is None:
                    raise
            if done != len(hidden):
                raise _changed(clip)
            writer.close()
    except BaseException:
        writer.abandon()
        raise
    return writer.notes


def _redacted(frame: Frame, size: tuple[int, int], faces: Faces, redaction: Redaction) -> Image:
    """The frame with its faces hidden, in the size of the first frame, with even sides as H.264 wants them."""
    image = frame.image
    if image.shape[1::-1] != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    image = redact(image, faces, style=redaction.style, margin=redaction.margin)
    odd = (image.shape[0] % 2, image.shape[1] % 2)
    return cv2.copyMakeBorder(image, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE) if any(odd) else image  # type: ignore[return-value]


def _changed(clip: Clip) -> SourceError:
    return SourceError(
        "the clip gave other frames the second time", where=clip.name, mend="let nothing write to it meanwhile"
    )


def _check(stop: Stop) -> None:
    if stop.asked:
        raise KeyboardInterrupt


class _Progress:
    """Both passes as one part of the whole. Finding takes about as long as hiding and writing."""

    def __init__(self, tell: Callable[[float], None] | None) -> None:
        self._tell = tell

    def first(self, done: int, total: int | None) -> None:
        if self._tell is not None and total:
            self._tell(min(0.5, 0.5 * done / total))

    def second(self, done: int, total: int) -> None:
        if self._tell is not None:
            self._tell(0.5 + 0.5 * done / total)
