"""Clips that FFmpeg reads: files, pipes and addresses, through PyAV.

Frames are turned upright, time stamps are counted from the start of the clip, the sound goes past untouched.
Decoding is done in the caller's thread with slice threads only, so that it does not run beside the hook whose
time is taken.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from guard._imports import native
from guard.context.metadata import FileSays, parse_created, stated_by
from guard.errors import SourceError
from guard.replay.clip import BrokeOff, Frame, is_address, printable
from guard.replay.patience import Impatient, within
from guard.vision.extent import missing_bytes
from guard.vision.orientation import Matrix, matrix_of, swaps_sides, upright

with native("av"):
    import av

__all__ = ["ContainerClip", "open_address", "open_file"]

_DEFAULT_RATE = Fraction(25)
_PICKS_THREADS = int(av.__version__.partition(".")[0]) >= 17
"""Whether PyAV converts colours on as many threads as it is told; up to 16 it used one."""


def open_file(path: Path, *, patience_s: float, threads: int = 0) -> ContainerClip:
    """A video file, or a pipe, decoded on `threads` threads, 0 for as many as there are cores.

    Raises `SourceError` where it holds no video that can be decoded.
    """
    try:
        kind = path.stat().st_mode
        regular = stat.S_ISREG(kind)
        if regular and path.stat().st_size == 0:
            raise SourceError("the clip is empty", where=str(path), mend="record or copy it again")
    except OSError as error:
        raise SourceError("the clip cannot be read", where=str(path), mend=error.strerror) from None
    # "file:" keeps FFmpeg from reading a name like "concat:..." as an address.
    if regular:
        container = _open(f"file:{path}", name=str(path), options={}, patience_s=None)
        return ContainerClip(container, name=str(path), stem=path.stem, path=path, threads=threads)
    container = within(
        patience_s,
        lambda: _open(f"file:{path}", name=str(path), options={}, patience_s=patience_s),
        what="the pipe gave no video",
        where=str(path),
    )
    return ContainerClip(container, name=str(path), stem=path.stem or "pipe", patience_s=patience_s)


def open_address(address: str, *, patience_s: float) -> ContainerClip:
    """A camera or a file on the network. Raises `SourceError` where nobody answers."""
    name = printable(address)
    scheme = address.partition("://")[0].lower()
    options = {"rw_timeout": str(int(patience_s * 1e6))}
    if scheme in ("rtsp", "rtsps"):
        options = {"rtsp_transport": "tcp", "timeout": str(int(patience_s * 1e6))}
    container = within(
        # The watch outside gives FFmpeg the time to say what is wrong.
        patience_s * 1.5,
        lambda: _open(address, name=name, options=options, patience_s=patience_s),
        what="no answer",
        where=name,
    )
    stem = "".join(c if c.isalnum() else "-" for c in name.partition("://")[2]).strip("-") or scheme
    # What is fetched and has no end is a camera or a stream, too.
    live = scheme not in ("http", "https") or not container.duration
    return ContainerClip(container, name=name, stem=stem, patience_s=patience_s, live=live)


def _open(url: str, *, name: str, options: dict[str, str], patience_s: float | None) -> Any:
    timeout = None if patience_s is None else (patience_s, patience_s)
    started = time.monotonic()
    try:
        container = av.open(url, mode="r", options=options, timeout=timeout, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        # FFmpeg calls a silent peer many things, bad data among them.
        waited = patience_s is not None and time.monotonic() - started >= 0.9 * patience_s
        why = f"it did not answer within {patience_s:g} s" if waited else _plainly(error, url)
        raise SourceError("the clip cannot be opened", where=name, mend=why) from None
    if not container.streams.video:
        container.close()
        raise SourceError("there is no video in the clip", where=name, mend="give a video or a folder of pictures")
    return container


class ContainerClip:
    """A clip out of an open container. `path` is given for a regular file, `patience_s` for anything that may
    stall. `threads` is how many the decoder may use; 0 = as many as the machine has cores.
    """

    def __init__(
        self,
        container: Any,
        *,
        name: str,
        stem: str,
        path: Path | None = None,
        patience_s: float | None = None,
        live: bool = False,
        threads: int = 0,
    ) -> None:
        self.name = name
        self.stem = stem
        self.live = live
        self.path = path
        self._patience_s = patience_s
        self._container = container
        self._video = container.streams.video[0]
        self._video.thread_type = "SLICE"
        self._video.thread_count = threads
        # One for the clip: it keeps its tables, and the threads it starts.
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._reformatting = {"format": "bgr24", "threads": threads} if _PICKS_THREADS else {"format": "bgr24"}
        self.sound = container.streams.audio[0] if container.streams.audio else None
        self.total: int | None = self._video.frames or None
        self.rate: Fraction = self._video.average_rate or self._video.guessed_rate or _DEFAULT_RATE
        self.time_base: Fraction = self._video.time_base or Fraction(1, 90_000)
        self.created = None if live else _created(container, self._video)
        self.says: FileSays | None = None if live else stated_by(container, path)
        self._origin = Fraction(container.start_time or 0, av.time_base)
        self._matrix: Matrix | None = None
        self._reader: Impatient[Frame | Any] | None = None
        self._damaged = 0

    @property
    def pixel_aspect(self) -> Fraction:
        """Of the upright picture: known once the first frame has come."""
        aspect: Fraction = self._video.sample_aspect_ratio or Fraction(1)
        return 1 / aspect if self._matrix is not None and swaps_sides(self._matrix) else aspect

    @property
    def dropped(self) -> int:
        """Frames of a live clip that were thrown away because the ones before took too long."""
        return self._reader.dropped if self._reader is not None else 0

    def frames(self, listen: Callable[[Any], None] | None = None, *, every_s: float = 0.0) -> Iterator[Frame]:
        """See `guard.replay.clip.Clip`."""
        items: Iterator[Frame | Any] = self._read(every_s)
        if self._patience_s is not None:
            items = self._reader = Impatient(
                items, patience_s=self._patience_s, late=self._silent, drop_oldest=self.live
            )
        for item in items:
            if isinstance(item, Frame):
                yield item
            elif listen is not None:
                listen(item)

    def close(self) -> None:
        """Closes the container, unless a reader still hangs in it."""
        if self._reader is not None:
            self._reader.stop(wait_s=1.0)
            if self._reader.reading:
                return
        self._container.close()

    def _silent(self) -> BrokeOff:
        return BrokeOff(f"the clip gave no frame for {self._patience_s:g} s", where=self.name)

    def _read(self, every_s: float) -> Iterator[Frame | Any]:
        """Frames and, between them, packets of sound; then what was wrong, if anything was."""
        index, last_pts, due_s = 0, -1, 0.0
        for packet in self._packets():
            if packet.stream is self.sound:
                if packet.size:
                    yield packet
                continue
            for picture in self._decoded(packet, any_yet=index > 0):
                pts = self._pts(picture, index, last_pts)
                at_s = float(pts * self.time_base)
                if at_s < due_s and picture.pts is not None:
                    continue
                due_s = at_s + every_s
                yield self._frame(picture, index, pts)
                index, last_pts = index + 1, pts
        self._settle(index)

    def _packets(self) -> Iterator[Any]:
        wanted = [self._video] if self.sound is None else [self._video, self.sound]
        packets = self._container.demux(wanted)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                # Nothing after this can be had; what was read before stays good.
                raise BrokeOff("the clip broke off", where=self.name, mend=_plainly(error, self.name)) from None
            yield packet

    def _decoded(self, packet: Any, *, any_yet: bool) -> list[Any]:
        """The frames out of `packet`. A damaged one gives none: a half-grey picture shows no faces."""
        if packet.is_corrupt:
            self._damaged += 1
            return []
        try:
            pictures = packet.decode()
        except av.FFmpegError:
            # Before the first whole picture this is the ordinary start of a stream joined in its middle.
            self._damaged += any_yet
            return []
        whole = [picture for picture in pictures if not picture.is_corrupt]
        self._damaged += len(pictures) - len(whole) if any_yet else 0
        return whole

    def _pts(self, picture: Any, index: int, last: int) -> int:
        if picture.pts is None:
            expected = round(index / self.rate / self.time_base)
        else:
            expected = picture.pts - round(self._origin / self.time_base)
        return max(expected, last + 1, 0)

    def _frame(self, picture: Any, index: int, pts: int) -> Frame:
        if self._matrix is None:
            self._matrix = _matrix(picture)
        seconds = float(pts * self.time_base)
        if self.live:
            captured: datetime | None = datetime.now(UTC)
        else:
            captured = None if self.created is None else self.created + timedelta(seconds=seconds)
        image = np.ascontiguousarray(self._reformatter.reformat(picture, **self._reformatting).to_ndarray())
        return Frame(index, pts, seconds, upright(image, self._matrix), captured)

    def _settle(self, frames: int) -> None:
        """Says what the end of the clip hides."""
        try:
            missing = missing_bytes(self.path) if self.path is not None else 0
        except OSError as error:
            raise BrokeOff("the clip went away while it was read", where=self.name, mend=error.strerror) from None
        if not frames:
            cause = f"the file ends {missing:,} bytes short" if missing else "nothing in it could be decoded"
            raise SourceError("the clip gives no frame", where=self.name, mend=cause)
        if missing:
            raise BrokeOff(
                f"the clip broke off: the file ends {missing:,} bytes before its header says", where=self.name
            )
        if self._damaged and not self.live:
            raise BrokeOff(
                f"the clip is damaged: {self._damaged} packets or frames could not be decoded",
                where=self.name,
            )


def _matrix(picture: Any) -> Matrix:
    for entry in picture.side_data:
        # PyAV 19 iterates over the kinds, as a mapping does; up to 18 over the entries.
        data = entry if hasattr(entry, "type") else picture.side_data[entry]
        if data.type.name == "DISPLAYMATRIX":
            return matrix_of(bytes(data))
    return matrix_of(None)


def _created(container: Any, video: Any) -> datetime | None:
    """When the recording was made, where the container says so believably.

    A stamp without a zone and one that a recorder without a clock wrote are no statement: the fact stays
    unknown.
    """
    for text in (container.metadata.get("creation_time"), video.metadata.get("creation_time")):
        if not text:
            continue
        created = parse_created(text)
        if created is not None:
            return created
    return None


def _plainly(error: BaseException, url: str) -> str:
    """One line out of an error of FFmpeg's, without the address, which may hold a password."""
    said = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    if isinstance(error, av.ExitError):
        said = "it did not answer in time"
    elif isinstance(error, av.InvalidDataError) and not is_address(url):
        said = "it is no video, or was cut off before its index was written"
    return str(said)[:1].lower() + str(said)[1:]
