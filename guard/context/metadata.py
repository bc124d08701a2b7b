"""What a file says of itself: make, model, when and where it was recorded, as far as FFmpeg reads it.

Whoever edits a file can write anything here, so what it says can widen a fact and never narrow one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from guard._imports import native
from guard.context.finding import plainly
from guard.context.fix import possible
from guard.context.track import Track, read_tracks
from guard.errors import SourceError

with native("av"):
    import av

__all__ = ["FileSays", "parse_created", "parse_location", "read_metadata", "stated_by"]

_MAKE = ("make", "com.apple.quicktime.make", "com.android.manufacturer")
_MODEL = ("model", "com.apple.quicktime.model", "com.android.model")
_PLACE = ("location", "location-eng", "com.apple.quicktime.location.iso6709")
_WHEN = ("com.apple.quicktime.creationdate", "creation_time")
_OTHER = ("handler_name", "encoder", "firmware")
_NEVER_SET = datetime(1980, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""So that the times of its frames can still be counted."""
_LONGEST = 200
"""Characters of a text of the file that are read."""
_ISO_6709 = re.compile(r"([+-]\d{2,6}(?:\.\d+)?)([+-]\d{3,7}(?:\.\d+)?)(?=[+\-/C]|$)")


@dataclass(frozen=True, slots=True)
class FileSays:
    """The statements of one file; None and empty where it makes none.

    Attributes:
        make, model: of the device.
        created: when it was recorded, in UTC; a stamp without a zone and one of a clock that was never set are none.
        location: latitude and longitude in degrees, north and east positive.
        tags: make, model, handlers and encoders, as they stand in the file.
        size: width and height in pixels; `fps` frames a second.
        tracks: where it was and how fast it went, as each stream of telemetry says.
        unread: by the fact that it would state, a text of the file that states none: no instant, no place on earth.
    """

    make: str | None = None
    model: str | None = None
    created: datetime | None = None
    location: tuple[float, float] | None = None
    tags: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    fps: float | None = None
    tracks: tuple[Track, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)


def read_metadata(path: Path) -> FileSays:
    """Reads the container, its streams and their telemetry, no pictures. Raises `SourceError` where it is no video."""
    try:
        # "file:" keeps FFmpeg from reading a name like "concat:..." as an address.
        with av.open(f"file:{path}", mode="r", metadata_errors="replace") as container:
            if not container.streams.video:
                raise SourceError("there is no video in the clip", where=str(path), mend="give a video")
            return stated_by(container, path)
    except (av.FFmpegError, OSError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise SourceError("the clip cannot be opened", where=str(path), mend=said) from None


def stated_by(container: Any, path: Path | None = None) -> FileSays:
    """As `read_metadata`, of an open container that holds video, which is left where it is.

    Its telemetry is read only where `path` names the file, which is then opened once more.
    """
    video = container.streams.video[0]
    tables = [_lower(container.metadata), *(_lower(stream.metadata) for stream in container.streams)]
    created, location = next(_instants(tables), None), next(_places(tables), None)
    stamp, place = _first(tables, _WHEN), _first(tables, _PLACE)
    unread = {"capture.at": stamp if created is None else None, "place.country": place if location is None else None}
    rate = video.average_rate or video.guessed_rate
    return FileSays(
        make=_first(tables, _MAKE),
        model=_first(tables, _MODEL),
        created=created,
        location=location,
        unread={name: text for name, text in unread.items() if text is not None},
        tags=tuple(dict.fromkeys(_all(tables, (*_MAKE, *_MODEL, *_OTHER)))),
        size=(video.width, video.height),
        fps=None if rate is None else float(rate),
        tracks=() if path is None else read_tracks(path),
    )


def parse_location(text: str) -> tuple[float, float] | None:
    """Latitude and longitude of an ISO 6709 string such as ``+48.8577+002.2950+035/``; None where it is none.

    Whole degrees with decimals, degrees and minutes, and degrees, minutes and seconds (ISO 6709:2022, annex H).
    """
    found = _ISO_6709.match(text.strip())
    if found is None:
        return None
    latitude, longitude = (_degrees(part, whole) for part, whole in zip(found.groups(), (2, 3), strict=True))
    if latitude is None or longitude is None or not possible(latitude, longitude):
        return None
    return latitude, longitude


def _degrees(text: str, whole: int) -> float | None:
    sign, digits, rest = text[0], text[1:].partition(".")[0], text[1:].partition(".")[2]
    last = f".{rest}" if rest else ""
    if len(digits) == whole:
        value = float(digits + last)
    elif len(digits) == whole + 2:
        value = float(digits[:whole]) + float(digits[whole:] + last) / 60
    elif len(digits) == whole + 4:
        value = float(digits[:whole]) + float(digits[whole : whole + 2]) / 60 + float(digits[whole + 2 :] + last) / 3600
    else:
        return None
    return -value if sign == "-" else value


def _lower(table: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in table.items()}


def _all(tables: list[dict[str, str]], keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        for table in tables:
            text = plainly(table.get(key, "").strip(), _LONGEST)
            if text:
                yield text


def _first(tables: list[dict[str, str]], keys: tuple[str, ...]) -> str | None:
    return next(_all(tables, keys), None)


def _instants(tables: list[dict[str, str]]) -> Iterator[datetime]:
    for text in _all(tables, _WHEN):
        instant = parse_created(text)
        if instant is not None:
            yield instant


def parse_created(text: str) -> datetime | None:
    """When the recording was made, in UTC; None where the text does not say.

    A stamp without a zone and one of a clock that was never set (the epochs of 1904 and 1970) are no statement; one
    that is absurdly late is a statement of a day yet to come.
    """
    try:
        # A newer FFmpeg joins a key that stands twice: "2026-...Z;2026-...Z".
        instant = datetime.fromisoformat(text.partition(";")[0])
        if instant.tzinfo is None or instant <= _NEVER_SET:
            return None
        return min(instant, _LATEST).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _places(tables: list[dict[str, str]]) -> Iterator[tuple[float, float]]:
    for text in _all(tables, _PLACE):
        found = parse_location(text)
        if found is not None:
            yield found
