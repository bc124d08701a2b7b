"""What a run shows: the annotated video and the redacted film, which are lost without losing a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from guard.errors import SourceError
from guard.replay.film import Film, FilmWriter
from guard.replay.overlay import Canvas, Scene
from guard.replay.video import VideoWriter
from guard.vision.memory import FaceMemory

if TYPE_CHECKING:
    from guard.facts import Faces
    from guard.replay.clip import Clip, Frame, Image

__all__ = ["FILM", "VIDEO", "Footage"]

VIDEO: Final = "replay.mp4"
FILM: Final = "redacted.mp4"


class _CanBeAbandoned(Protocol):
    def abandon(self) -> None: ...


Writer = TypeVar("Writer", bound=_CanBeAbandoned)
Made = TypeVar("Made")


class _Expendable(Generic[Writer]):
    """A writer that is given up, with a note, once it fails."""

    def __init__(self, writer: Writer, notes: list[str]) -> None:
        self._writer: Writer | None = writer
        self._notes = notes

    def attempt(self, work: Callable[[Writer], Made]) -> Made | None:
        """What `work` gives; None once the writer is given up."""
        if self._writer is None:
            return None
        try:
            return work(self._writer)
        except SourceError as error:
            self._notes.append(str(error))
            self.abandon()
            return None

    def abandon(self) -> None:
        """Removes what was written."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()


class Footage:
    """The annotated video and the redacted film of one clip: `add` every frame, then `close` or `abandon`.

    Args:
        clip: whose time stamps both keep, and the video its sound.
        out: an existing folder.

    Attributes:
        notes: what the user should know of them, one line each.
    """

    def __init__(self, clip: Clip, out: Path) -> None:
        self.notes: list[str] = []
        self._video = _Expendable(VideoWriter(out / VIDEO, clip), self.notes)
        self._film = _Expendable(FilmWriter(out / FILM, clip), self.notes)
        self._canvas: Canvas | None = None
        self._memory: FaceMemory | None = None
        self._size = (0, 0)

    def listen(self, packet: Any) -> None:
        """Takes a packet of the clip's sound."""
        self._video.attempt(lambda writer: writer.listen(packet))

    def add(self, frame: Frame, scene: Scene) -> None:
        """Takes a frame and what was decided in it; a writer that fails is given up, with a note."""
        self._video.attempt(lambda writer: writer.add(frame, self._drawn(frame, scene)))
        self._film.attempt(lambda writer: writer.add(frame, scene.faces))

    def close(self) -> tuple[Path | None, Film | None]:
        """Finishes both; None for one that was given up or got no frame."""
        return self._video.attempt(self._closed), self._film.attempt(lambda writer: writer.close())

    def abandon(self) -> None:
        """Removes what was written."""
        self._video.abandon()
        self._film.abandon()

    def _drawn(self, frame: Frame, scene: Scene) -> Image:
        if self._canvas is None:
            self._canvas = Canvas(frame.image.shape[1], frame.image.shape[0])
        if scene.faces is not None:
            scene = replace(scene, hidden=self._remembered(frame, scene.faces))
        return self._canvas.draw(frame.image, scene)

    def _remembered(self, frame: Frame, faces: Faces) -> Faces:
        """These faces, and those that were seen a moment ago in a frame of the same size."""
        size = (frame.image.shape[1], frame.image.shape[0])
        if self._memory is None or size != self._size:
            self._memory, self._size = FaceMemory(size), size
        return self._memory.update(faces, frame.seconds)

    def _closed(self, writer: VideoWriter) -> Path | None:
        path = writer.close()
        self.notes += writer.notes
        return path
