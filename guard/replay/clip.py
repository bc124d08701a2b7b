"""What can be replayed: a file, a folder of pictures, a camera, an address. One protocol for all four.

A clip yields frames in order, each with its index, its time stamp and its picture. It ends in one of three
ways: the iteration stops (the clip is over), it raises `BrokeOff` (frames came, then no more could be had),
or `open_clip` raised `SourceError` before there was any frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from guard.errors import SourceError

if TYPE_CHECKING:
    import av

__all__ = ["PATIENCE_S", "BrokeOff", "Clip", "Frame", "Image", "is_address", "is_camera", "open_clip", "printable"]

Image = NDArray[np.uint8]

PATIENCE_S = 10.0
"""How long a camera, an address or a pipe may keep silent before it counts as broken off."""

_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt", "rtp", "mms"})
_CAMERA = re.compile(r"(?:/dev/video)?\d{1,3}")
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


class BrokeOff(SourceError):
    """The clip ended before its end: what came until then is good, and there is no more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a clip."""

    index: int
    """Counts from 0, without gaps, over the frames that could be decoded."""
    pts: int
    """Time stamp in units of the clip's `time_base`; strictly growing, 0 is the start of the clip."""
    seconds: float
    """The same in seconds."""
    image: Image
    """H x W x 3 uint8, blue-green-red, upright, C-contiguous."""
    captured: datetime | None
    """When the camera took it, with a zone; None where nothing says."""


class Sound(Protocol):
    """What takes the compressed sound of a clip while its frames are read."""

    def __call__(self, packet: av.Packet[Any]) -> None: ...


class Clip(Protocol):
    """Something that yields frames. `frames` may be called once."""

    @property
    def name(self) -> str:
        """What to print: the argument as given, without a password."""

    @property
    def stem(self) -> str:
        """A short name fit for a folder."""

    @property
    def path(self) -> Path | None:
        """The file that it is, None where it is no single file."""

    @property
    def live(self) -> bool:
        """True where the frames come at their own pace and there is no end to wait for."""

    @property
    def total(self) -> int | None:
        """About how many frames there are; None where nothing says."""

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""

    @property
    def time_base(self) -> Fraction:
        """Seconds in one unit of `Frame.pts`."""

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel by its height, of the upright picture."""

    @property
    def sound(self) -> av.AudioStream | None:
        """The stream of sound that `frames` hands to its `listen`; None for a silent clip."""

    def frames(self, listen: Callable[[Any], None] | None = None, *, every_s: float = 0.0) -> Iterator[Frame]:
        """The frames. Raises `BrokeOff` where no more can be had before the end.

        Where leaving them out saves work, those that come sooner than `every_s` seconds after the last one are.
        """

    def close(self) -> None:
        """Lets go of the file or the device."""


def open_clip(clip: str | Path, *, patience_s: float = PATIENCE_S) -> Clip:
    """Opens a file, a folder of pictures, a camera (``0`` or ``/dev/video0``) or an address (``rtsp://...``).

    A camera, an address and a pipe are given up after `patience_s` seconds of silence. Raises `SourceError`.
    """
    text = str(clip)
    if is_address(text):
        from guard.replay.container import open_address

        return open_address(text, patience_s=patience_s)
    path = Path(text).expanduser()
    if is_camera(text) and (text.startswith("/dev/") or not path.exists()):
        from guard.replay.camera import open_camera

        return open_camera(int(text.removeprefix("/dev/video")), patience_s=patience_s)
    if path.is_symlink() and not path.exists():
        raise SourceError("the clip is a link that leads nowhere", where=text, mend="mend the link, or name the file")
    if not path.exists():
        raise SourceError("there is no such clip", where=text, mend=_nearby(path))
    if path.is_dir() or (path.is_file() and path.suffix.lower() in PICTURES):
        from guard.replay.pictures import open_pictures

        return open_pictures(path)
    from guard.replay.container import open_file

    return open_file(path, patience_s=patience_s)


def is_address(text: str) -> bool:
    """True for what FFmpeg should fetch from a network rather than from the disk."""
    scheme, colon, _ = text.partition("://")
    return bool(colon) and scheme.lower() in _SCHEMES


def is_camera(text: str) -> bool:
    """True for a camera's number or device; a file of that name is meant where there is one."""
    return _CAMERA.fullmatch(text) is not None


def printable(address: str) -> str:
    """An address without what must not stand in a report: the user's name, the password, the query."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return address.partition("://")[0] + "://..."
    masked = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, masked, parts.path, "..." if parts.query else "", ""))


def _nearby(path: Path) -> str:
    """A hint for a mistyped path: the nearest name in the same folder, if one is near."""
    from difflib import get_close_matches

    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    near = get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=1)
    return f"did you mean {str(folder / near[0])!r}?" if near else "give a file, a folder, a camera or an address"
