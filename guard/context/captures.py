"""Which pictures of this process were taken the moment they were read: those of a camera or a stream.

A picture is known by the array that the capture gave, and by every view of it. A copy (scaled, in other colours, on its
way through a queue) is not. So while some live capture is being read, a picture of which nothing is known may be one
of its own, and counts as taken now unless its frame says when it was; only those of a recording are known not to be.
"""

from __future__ import annotations

import time
import weakref
from functools import partial
from typing import Any, Literal

__all__ = ["Origin", "any_live", "forget", "may_be_live", "origin", "took"]

Origin = Literal["live", "recorded"]

_VIEWS_DEEP = 8
"""As far as `guard.frames.origin_of` follows a view."""

_origins: dict[int, tuple[weakref.ref[Any], Origin]] = {}
_read_ns: int | None = None
"""When a live capture was last read, of `time.monotonic_ns`; None before that."""


def took(picture: object, *, live: bool) -> None:
    """A capture gave this picture, which is of now where it is `live`."""
    global _read_ns
    if live:
        _read_ns = time.monotonic_ns()
    key = id(picture)
    try:
        _origins[key] = (weakref.ref(picture, partial(_forget, key)), "live" if live else "recorded")
    except TypeError:  # OpenCV's own kinds of pictures: what becomes an array of them is of unknown origin
        return


def any_live() -> bool:
    """Whether any live capture was read in this process."""
    return _read_ns is not None


def origin(picture: object) -> Origin | None:
    """Where an array, or the array that it is a view of, came from; None where nothing says."""
    for _ in range(_VIEWS_DEEP):
        known = _origins.get(id(picture))
        if known is not None and known[0]() is picture:
            return known[1]
        picture = getattr(picture, "base", None)
        if picture is None:
            return None
    return None


def may_be_live(within_ns: int) -> bool:
    """Whether a picture of unknown origin may have been taken in the last `within_ns` nanoseconds."""
    return _read_ns is not None and time.monotonic_ns() - _read_ns <= within_ns


def forget() -> None:
    """Nothing is known of any picture: no capture is looked at any more."""
    global _read_ns
    _read_ns = None
    _origins.clear()


def _forget(key: int, dead: weakref.ref[Any]) -> None:
    known = _origins.get(key)
    if known is not None and known[0] is dead:
        _origins.pop(key, None)
