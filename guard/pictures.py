"""The pictures among a call's arguments: found, copied, judged, and put back.

What is put back is what was judged: a read-only copy that nobody else holds, or that copy with its faces removed.
Whatever might carry a picture and cannot be looked at, or cannot be put back, makes the faces unknown.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from guard import multipart
from guard.errors import GuardFault, SourceError
from guard.frames import frozen_copy, origin_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.facts import Faces
    from guard.source import Source

__all__ = ["Picture", "Pictures", "arrays_of", "sources_of"]

MAX_DEPTH = 8
MAX_ITEMS = 20_000
MAX_PICTURES = 500
"""Of one call, frames of its videos included."""
MAX_PIXELS = 300_000_000
"""Of all pictures of one call together: 900 MB as arrays."""

_HARMLESS = (
    type(None), bool, int, float, complex, enum.Enum, datetime, date, time, timedelta, Decimal, Fraction, np.generic
)  # fmt: skip
_DATA_URL = re.compile(r"\s*data:(?P<head>[^,]{0,200}),(?P<body>.*)", re.DOTALL | re.IGNORECASE)
_REFERENCE = re.compile(
    r"\s*(?:[a-z][a-z0-9+.-]{1,20}://\S+|\S+\.(?:jpe?g|png|webp|gif|bmp|tiff?|heic|avif|mp4|mov|mkv|avi|webm))\s*\Z",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]{256,}={0,2}\s*\Z")

Put = Callable[["NDArray[Any]"], Any]


@dataclasses.dataclass(slots=True)
class Picture:
    """One picture found.

    Attributes:
        pixels: a read-only copy, H x W (x 1, 3, 4) uint8, BGR.
        original: the caller's own object, for identity only.
        put: turns pixels of the same shape into what stands in this place of the arguments; None for a frame of a
            video, which can be looked at but not replaced.
    """

    pixels: NDArray[Any]
    original: object
    put: Put | None
    unchanged: Any
    faces: Faces | None = None
    replacement: Any = None


class Pictures:
    """Every picture of one call's arguments.

    Attributes:
        found: the pictures, in the order in which they were met.
        opaque: what could not be looked at, in words; empty where everything could.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, known: Mapping[int, NDArray[Any]]) -> None:
        """`known` gives, by the id of a frame object, the snapshot that was taken when its faces were looked for."""
        self.found: list[Picture] = []
        self.opaque: list[str] = []
        self._known = known
        self._left = MAX_ITEMS
        self._pixels_left = MAX_PIXELS
        self._args = [self._look(item, 0) for item in args]
        self._kwargs = {key: self._look(item, 0) for key, item in kwargs.items()}

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments again, each picture as its `replacement`, each container on the way made anew."""
        return tuple(build() for build in self._args), {key: build() for key, build in self._kwargs.items()}

    @property
    def shows_faces_in_a_video(self) -> bool:
        """Whether some face was seen where it cannot be covered."""
        return any(picture.put is None and bool(picture.faces) for picture in self.found)

    # ---- looking

    def _look(self, item: Any, depth: int) -> Callable[[], Any]:
        """A function that gives the item again, its pictures replaced."""
        self._left -= 1
        if isinstance(item, _HARMLESS):
            return lambda: item
        if depth > MAX_DEPTH or self._left < 0:
            return self._unknown(item, "arguments nested or numbered beyond the bounds")
        if isinstance(item, np.ndarray):
            return self._array(item, depth)
        if isinstance(item, str):
            return self._text(item, depth)
        if isinstance(item, (bytes, bytearray, memoryview)):
            return self._bytes(item, depth=depth)
        if isinstance(item, Mapping):
            return self._mapping(item, depth)
        if isinstance(item, (list, tuple)):
            return self._sequence(item, depth)
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            return self._dataclass(item, depth)
        if type(item).__module__.partition(".")[0] == "PIL" and hasattr(item, "convert"):
            return self._pillow(item)
        return self._unknown(item, f"a {type(item).__module__}.{type(item).__qualname__}")

    def _array(self, item: NDArray[Any], depth: int) -> Callable[[], Any]:
        if item.dtype != np.uint8 or item.size == 0:
            if item.ndim <= 1 and item.size <= 8 and item.dtype != object:
                return lambda: item  # a box, a size, a handful of numbers
            return self._unknown(item, f"an array of {item.dtype} and shape {item.shape}")
        if item.ndim == 2 or (item.ndim == 3 and item.shape[2] in (1, 3, 4)):
            snapshot = self._known.get(id(item))
            try:
                pixels = self._admitted(item if snapshot is None else snapshot)
            except SourceError as error:
                return self._unknown(item, str(error))
            return self._picture(frozen_copy(pixels) if snapshot is None else snapshot, item, lambda pixels: pixels)
        if item.ndim == 4 and item.shape[3] in (1, 3, 4):
            parts = [self._array(part, depth + 1) for part in item]
            return lambda: _frozen(np.stack([part() for part in parts]))
        if item.ndim == 1:
            return self._bytes(item.tobytes(), lambda data: _frozen(np.frombuffer(data, np.uint8)), depth)
        return self._unknown(item, f"an array of shape {item.shape}")

    def _bytes(
        self, item: bytes | bytearray | memoryview, kind: Callable[[bytes], Any] | None = None, depth: int = 0
    ) -> Callable[[], Any]:
        data = bytes(item)
        kind = kind or (bytes if isinstance(item, bytes) else bytearray if isinstance(item, bytearray) else memoryview)
        return self._file(data, item, "bytes that are", kind(data), kind, depth)

    def _file(
        self, data: bytes, item: Any, what: str, kept: Any, wrap: Callable[[bytes], Any], depth: int
    ) -> Callable[[], Any]:
        """A picture, video or multipart body; `kept` stands for it as it came, `wrap` makes its kind of bytes."""
        from guard.vision import decode_picture, encode_like, is_unambiguous, is_video

        try:
            if is_video(data):
                return self._video(data, item, kept)
            if multipart.boundary_of(data) is not None:
                return self._multipart(data, kept, wrap, depth)
            pixels = self._admitted(decode_picture(data, max_pixels=self._most_pixels()))
        except (SourceError, ValueError) as error:
            return self._unknown(item, f"{what} no readable picture ({error})")
        # A file that readers may see differently (turned by EXIF, transparent) goes out as it was seen here.
        seen = kept if is_unambiguous(data) else wrap(encode_like(data, pixels))
        return self._picture(pixels, item, lambda new: wrap(encode_like(data, new)), unchanged=seen)

    def _video(self, data: bytes, item: Any, kept: Any) -> Callable[[], Any]:
        from guard.vision import sample_video

        for pixels in sample_video(data, max_pixels=self._pixels_left):
            self.found.append(Picture(self._admitted(_frozen(pixels)), item, None, None))
        return lambda: kept

    def _multipart(self, data: bytes, kept: Any, wrap: Callable[[bytes], Any], depth: int) -> Callable[[], Any]:
        boundary = multipart.boundary_of(data) or b""
        parts = multipart.split(data)
        contents = [self._part(part, depth + 1) for part in parts]

        def build() -> Any:
            made = [multipart.Part(part.head, content()) for part, content in zip(parts, contents, strict=True)]
            return kept if made == parts else wrap(multipart.join(made, boundary))

        return build

    def _part(self, part: multipart.Part, depth: int) -> Callable[[], bytes]:
        content = part.content
        if not content:
            return lambda: content
        try:
            if part.is_json:
                value = json.loads(content)
                build = self._look(value, depth)
                return lambda: content if (made := build()) == value else json.dumps(made).encode()
            if part.is_text:
                text = self._look(content.decode("utf-8"), depth)
                return lambda: text().encode("utf-8")
        except (ValueError, RecursionError):
            return self._unknown(content, "a part of a multipart body that cannot be read")
        return self._look(content, depth)

    def _most_pixels(self) -> int:
        from guard.vision.payload import MAX_PIXELS as MAX_PIXELS_OF_ONE

        if len(self.found) >= MAX_PICTURES:
            raise SourceError(f"the call has more than {MAX_PICTURES} pictures")
        return min(self._pixels_left, MAX_PIXELS_OF_ONE)

    def _admitted(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The picture, counted. Raises `SourceError` beyond the bounds of a call."""
        self._pixels_left -= pixels.shape[0] * pixels.shape[1]
        if len(self.found) >= MAX_PICTURES or self._pixels_left < 0:
            raise SourceError(f"the call has more than {MAX_PICTURES} pictures or {MAX_PIXELS // 10**6} megapixels")
        return pixels

    def _text(self, item: str, depth: int) -> Callable[[], Any]:
        url = _DATA_URL.match(item)
        if url is not None:
            head = url["head"]
            if head.lower().endswith(";base64"):
                return self._base64(item, url["body"], f"data:{head},", depth)
            return self._unknown(item, "a data URL that is not base64")
        if _REFERENCE.match(item):
            return self._unknown(item, "a reference to something that cannot be looked at here")
        if _BASE64.match(item):
            return self._base64(item, item, "", depth)
        return lambda: item

    def _base64(self, item: str, body: str, head: str, depth: int) -> Callable[[], Any]:
        try:
            compact = "".join(body.split()).replace("-", "+").replace("_", "/")
            data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
        except ValueError as error:
            return self._unknown(item, f"base64 text that is no readable picture ({error})")
        return self._file(
            data, item, "base64 text that is", item, lambda new: head + base64.b64encode(new).decode("ascii"), depth
        )

    def _pillow(self, item: Any) -> Callable[[], Any]:
        image = sys.modules["PIL.Image"]
        try:
            # It may be a file that is not decoded yet.
            if item.size[0] * item.size[1] > self._most_pixels():
                raise SourceError(f"a picture of {item.size[0]} x {item.size[1]}, more than can be looked at")
            pixels = np.ascontiguousarray(np.asarray(item.convert("RGB"))[..., ::-1])
            self._admitted(_frozen(pixels))
        except (SourceError, OSError, ValueError, SyntaxError) as error:
            return self._unknown(item, f"an image of Pillow that cannot be read ({error})")
        return self._picture(pixels, item, lambda new: image.fromarray(np.ascontiguousarray(new[..., ::-1])))

    def _picture(
        self, pixels: NDArray[Any], original: object, put: Put, unchanged: Any = dataclasses.MISSING
    ) -> Callable[[], Any]:
        picture = Picture(pixels, original, put, put(pixels) if unchanged is dataclasses.MISSING else unchanged)
        self.found.append(picture)
        return lambda: picture.replacement

    def _mapping(self, item: Mapping[Any, Any], depth: int) -> Callable[[], Any]:
        parts = {key: self._look(value, depth + 1) for key, value in item.items()}
        for key in item:
            self._look(key, depth + 1)
        if type(item) is dict:
            return lambda: {key: part() for key, part in parts.items()}
        return self._rebuilt(item, lambda: type(item)({key: part() for key, part in parts.items()}))  # type: ignore[call-arg]

    def _sequence(self, item: list[Any] | tuple[Any, ...], depth: int) -> Callable[[], Any]:
        parts = [self._look(value, depth + 1) for value in item]
        if type(item) is list:
            return lambda: [part() for part in parts]
        if type(item) is tuple:
            return lambda: tuple(part() for part in parts)
        make = getattr(type(item), "_make", type(item))
        return self._rebuilt(item, lambda: make([part() for part in parts]))

    def _dataclass(self, item: Any, depth: int) -> Callable[[], Any]:
        fields = [field.name for field in dataclasses.fields(item) if field.init]
        if len(fields) != len(dataclasses.fields(item)):
            return self._unknown(item, f"a {type(item).__qualname__} that cannot be made again")
        parts = {name: self._look(getattr(item, name), depth + 1) for name in fields}
        return self._rebuilt(item, lambda: dataclasses.replace(item, **{name: part() for name, part in parts.items()}))

    def _rebuilt(self, item: Any, build: Callable[[], Any]) -> Callable[[], Any]:
        """A container of a type that is not ours: one that cannot be made again cannot be trusted either."""
        for picture in self.found:
            picture.replacement = picture.unchanged
        try:
            if type(build()) is not type(item):
                return self._unknown(item, f"a {type(item).__qualname__} that cannot be made again")
        except Exception:  # noqa: BLE001 - its own constructor decides; refusing is the safe answer
            return self._unknown(item, f"a {type(item).__qualname__} that cannot be made again")
        return build

    def _unknown(self, item: Any, what: str) -> Callable[[], Any]:
        self.opaque.append(what)
        return lambda: item


def sources_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> set[Source]:
    """The sources whose frames, or views of them, stand among the arguments.

    Raises `GuardFault` where the arguments are too many to look through: a frame of another source could be among them.
    """
    return {source for array in arrays_of(args, kwargs) if (source := origin_of(array)) is not None}


def arrays_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[NDArray[Any]]:
    """The arrays among the arguments. Raises `GuardFault` where these are too many to look through."""
    todo: list[tuple[Any, int]] = []
    for item in (*args, *kwargs.values()):
        # A picture on its own is the ordinary call, and every frame pays for it.
        if isinstance(item, np.ndarray):
            yield item
        else:
            todo.append((item, 0))
    left = MAX_ITEMS
    while todo:
        left -= 1
        if left < 0:
            raise GuardFault(f"the call has more than {MAX_ITEMS} arguments to look through")
        item, depth = todo.pop()
        if isinstance(item, np.ndarray):
            yield item
        elif depth < MAX_DEPTH and isinstance(item, Mapping):
            todo.extend((value, depth + 1) for value in item.values())
        elif depth < MAX_DEPTH and isinstance(item, (list, tuple)):
            todo.extend((value, depth + 1) for value in item)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
