"""One clip, redacted in one pass: decode, detect, hide, encode.

A face has to be hidden in the frames in which it came into view, before it was first detected. So frames wait in
memory, about one and a half seconds of them, until it is known what came after.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard._imports import native
from guard.errors import SourceError
from guard.facts import Faces
from guard.replay.clip import BrokeOff, Clip, Frame, Image, open_clip
from guard.replay.stopping import Stop
from guard.replay.video import VideoWriter
from guard.vision import redact
from guard.vision.bridging import Bridged, Bridging
from guard.vision.memory import HOLD_S
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

with native("cv2"):
    import cv2

if TYPE_CHECKING:
    from guard.vision import Detector
    from guard.vision.redaction import Style

__all__ = ["Redacted", "Redaction", "redact_clip"]

MOST_HELD_BYTES = 2 << 30
"""Of frames that wait in memory: eleven seconds of 1080p, or nearly three of 4K, at 30 frames a second."""


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
    min_face_px: int = MIN_FACE_PX
    face_score: float = FACE_SCORE
    hold_s: float = HOLD_S


@dataclass(frozen=True, slots=True)
class Redacted:
    """What came of a clip or a picture.

    Attributes:
        clip: its name.
        out: the redacted file.
        frames: how many frames it has; 1 for a picture.
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


def redact_clip(
    clip: Path,
    out: Path,
    redaction: Redaction,
    *,
    detector: Detector,
    threads: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Stop | None = None,
) -> Redacted:
    """Writes `out`, an MP4 of `clip` with every face hidden, its sound and its time stamps kept, upright.

    Nothing else is kept: neither metadata (place, maker, names) nor a second stream of video or sound. The file gets
    its name when it is whole, and a half-written one is removed.

    Args:
        clip: a video file or a folder of pictures.
        out: the file to write.
        redaction: how faces are found and hidden.
        detector: what finds them.
        threads: of the decoder and of the encoder; 0 = as many as the machine has cores.
        progress: called after each frame with the part that is done, 0 to 1; 0 where nobody knows how long it is.
        stop: asked between two frames whether to end; what was written is removed then.

    Raises `SourceError` where the clip cannot be read, the file cannot be written, or the frames of `hold_s` do not fit
    into memory; `KeyboardInterrupt` where it was asked to stop. A clip that breaks off is redacted up to there, and
    `Redacted.broke_off` says so.
    """
    opened = open_clip(clip, threads=threads)
    with closing(opened):
        if opened.live:
            raise SourceError("a live clip has no end", where=opened.name, mend="record it, then redact the file")
        run = _Run(opened, VideoWriter(out, opened, threads=threads), redaction, detector)
        try:
            broke_off = run.through(stop or Stop(), progress)
            run.writer.close()
        except BaseException:
            run.writer.abandon()
            raise
    return Redacted(
        clip=str(clip),
        out=out,
        frames=run.written,
        frames_with_faces=run.with_faces,
        frames_bridged=run.bridged,
        broke_off=broke_off,
        notes=tuple(run.writer.notes),
    )


class _Run:
    """The frames of one clip on their way into the copy."""

    def __init__(self, clip: Clip, writer: VideoWriter, redaction: Redaction, detector: Detector) -> None:
        self.writer = writer
        self.written = self.with_faces = self.bridged = 0
        self._clip = clip
        self._redaction = redaction
        self._detector = detector
        self._bridging: Bridging[Frame] | None = None
        self._size = (0, 0)

    def through(self, stop: Stop, progress: Callable[[float], None] | None) -> str | None:
        """Reads the clip to its end; gives why it broke off before that, None where it did not."""
        broke_off = None
        try:
            for frame in self._clip.frames(self.writer.listen):
                if stop.asked:
                    raise KeyboardInterrupt
                self._take(frame)
                if progress is not None:
                    progress(min(1.0, (frame.index + 1) / self._clip.total) if self._clip.total else 0.0)
        except BrokeOff as error:
            if self._bridging is None:
                raise
            broke_off = str(error)
        if self._bridging is not None:
            for ready in self._bridging.finish():
                self._write(ready)
        return broke_off

    def _take(self, frame: Frame) -> None:
        options = self._redaction
        found = self._detector.detect(frame.image, min_face_px=options.min_face_px, face_score=options.face_score)
        if self._bridging is None:
            self._size = (frame.image.shape[1], frame.image.shape[0])
            self._bridging = Bridging(self._size, hold_s=options.hold_s)
        frame, found = _in_size(frame, found, self._size)
        if len(self._bridging) * frame.image.nbytes > MOST_HELD_BYTES:
            raise SourceError(
                f"{options.hold_s:g} s of its frames are more than {MOST_HELD_BYTES >> 20} MB",
                where=self._clip.name,
                mend="hold faces for a shorter time (--hold)",
            )
        for ready in self._bridging.add(frame, found, frame.seconds):
            self._write(ready)

    def _write(self, ready: Bridged[Frame]) -> None:
        image = redact(ready.item.image, ready.hidden, style=self._redaction.style, margin=self._redaction.margin)
        self.writer.add(ready.item, _even(image))
        self.written += 1
        self.with_faces += len(ready.found) > 0
        self.bridged += len(ready.hidden) > len(ready.found)


def _in_size(frame: Frame, found: Faces, size: tuple[int, int]) -> tuple[Frame, Faces]:
    """The frame and its faces in pixels of the first frame: a clip that changes its size is written in that one."""
    height, width = frame.image.shape[:2]
    if (width, height) == size:
        return frame, found
    image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    factor = (size[0] / width, size[1] / height)
    return replace(frame, image=image), Faces((found.boxes * (*factor, *factor)).astype("float32"), found.scores)


def _even(image: Image) -> Image:
    """The picture with even sides, as H.264 wants them."""
    odd = (image.shape[0] % 2, image.shape[1] % 2)
    return cv2.copyMakeBorder(image, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE) if any(odd) else image  # type: ignore[return-value]
