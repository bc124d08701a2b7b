"""Where a camera was while it filmed, as its file's telemetry says: GPMF in a data stream, captions in subtitles.

Whoever edits a file can write anything here. Every stream is read by itself, so that one cannot speak for another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guard._imports import native
from guard.context import captions, gpmf
from guard.context.fix import Fix

with native("av"):
    import av

__all__ = ["Track", "read_tracks"]

_SECONDS: Final = 120.0
"""How much of a file is read, as `guard source check` looks at its pictures."""
_MOST_PACKETS: Final = 20_000
_MOST_BYTES: Final = 64 << 20
_MOST_GPMF: Final = 256 << 10
_MOST_CAPTION: Final = 4 << 10
_APART_S: Final = 0.9
"""Telemetry that is stated more often is read once a second."""
_DISCARD_ALL: Final = 48
"""FFmpeg's AVDISCARD_ALL: a stream of which the demuxer reads no packet."""


@dataclass(frozen=True, slots=True)
class Track:
    """What one stream states.

    Attributes:
        name: of the stream, for people.
        fixes: in the order of time, about one a second.
        unreadable: how many payloads broke their format or were too large.
    """

    name: str
    fixes: tuple[Fix, ...] = ()
    unreadable: int = 0


def read_tracks(path: Path) -> tuple[Track, ...]:
    """The tracks in the first two minutes of a file. What cannot be read is left out; nothing is raised."""
    try:
        with av.open(f"file:{path}", mode="r", metadata_errors="replace") as container:
            return _read(container)
    except (av.FFmpegError, OSError, ValueError):
        return ()


def _read(container: Any) -> tuple[Track, ...]:
    readers = {each.index: _Reader(each) for each in container.streams if each.type in ("data", "subtitle")}
    if not readers:
        return ()
    for stream in container.streams:
        if stream.index not in readers and hasattr(stream, "discard"):
            stream.discard = _DISCARD_ALL
    for packet in _packets(container):
        reader = readers.get(packet.stream.index)
        if reader is not None:
            reader.take(packet)
    return tuple(reader.track for reader in readers.values() if reader.spoke)


def _packets(container: Any) -> Iterator[Any]:
    """Of all streams, since an older PyAV reads the pictures, too; as many as the bounds allow."""
    packets = container.demux()
    size, origin_s = 0, None
    for _ in range(_MOST_PACKETS):
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError, OSError):
            return
        size += packet.size
        if size > _MOST_BYTES:
            return
        if packet.pts is None or not packet.size:
            continue
        at_s = float(packet.pts * packet.time_base)
        origin_s = at_s if origin_s is None else origin_s
        if at_s - origin_s > _SECONDS:
            return
        yield packet


class _Reader:
    """Reads one stream."""

    def __init__(self, stream: Any) -> None:
        self._gpmf = stream.type == "data"
        self._fixes: list[Fix] = []
        self._unreadable = 0
        self.spoke = False

    @property
    def track(self) -> Track:
        return Track("GPMF track" if self._gpmf else "captions", tuple(self._fixes), self._unreadable)

    def take(self, packet: Any) -> None:
        at_s = float(packet.pts * packet.time_base)
        if self._fixes and at_s - self._fixes[-1].at_s < _APART_S:
            return
        try:
            fix = self._payload(packet, at_s) if self._gpmf else self._caption(packet, at_s)
        except gpmf.Malformed:
            self._unreadable += 1
            return
        if fix is not None:
            self._fixes.append(fix)
            self.spoke = True

    def _payload(self, packet: Any, at_s: float) -> Fix | None:
        data = bytes(packet)
        if not data.startswith(gpmf.DEVICE):
            return None  # another kind of data, a time code for instance
        self.spoke = True
        if len(data) > _MOST_GPMF:
            raise gpmf.Malformed("a payload is too large")
        return gpmf.fix_of(data, at_s)

    def _caption(self, packet: Any, at_s: float) -> Fix | None:
        if packet.size > _MOST_CAPTION:
            return None
        return captions.fix_of(bytes(packet).decode("utf-8", "replace"), at_s)
