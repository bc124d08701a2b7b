"""`cv2.VideoCapture`: what a camera or a stream gives is marked as taken now, what a file gives as recorded.

No call is judged here. Whoever opens such a picture as a frame, or hands it on, asks `guard.context.captures`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from guard.context import captures
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.opencv import DISTRIBUTIONS

__all__ = ["ADAPTER", "forget", "is_recording", "lasts"]

_ADDRESS = re.compile(r"(?!file:|https?:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_NAMED = ("index", "filename")
_live: set[int] = set()
"""Ids of captures whose name says that they are live. They cannot be referred to weakly: whether an id stands here is
settled anew by every capture that is made or opened, so that it says nothing of an earlier one."""


def is_recording(capture: Any) -> bool:
    """Whether an opened capture plays something that has an end.

    A camera by its number and a stream's address do not, whatever they say. Anything else (a file, also one on the web,
    a pipeline of GStreamer, a device by its path, a pipe) does where it knows how many frames it has: what is live
    gives 0, -1 or nonsense below, and so does a file that is nothing but a raw stream.
    """
    import cv2

    if id(capture) in _live and isinstance(capture, cv2.VideoCapture):
        return False
    get = getattr(capture, "get", None)
    if get is None:
        return False
    try:
        return bool(get(cv2.CAP_PROP_FRAME_COUNT) >= 1)
    except Exception:  # noqa: BLE001 - a capture that cannot say it is not known to be a recording
        return False


def lasts(container: Any) -> bool:
    """Whether an opened container of PyAV plays something that has an end; a stream's address does not."""
    return bool(container.duration) and _ADDRESS.match(str(container.name)) is None


def forget() -> None:
    """Nothing is known of any capture or picture: no hook tells of new ones."""
    _live.clear()
    captures.forget()


def _opening(original: Callable[..., Any]) -> Callable[..., Any]:
    def opened(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = next(iter([*args[:1], *(kwargs[name] for name in _NAMED if name in kwargs)]), None)
        (_live.add if _is_live_by_name(given) else _live.discard)(id(self))
        return original(self, *args, **kwargs)

    return opened


def _is_live_by_name(given: object) -> bool:
    return _ADDRESS.match(given) is not None if isinstance(given, str) else hasattr(given, "__index__")


def _reading(original: Callable[..., Any]) -> Callable[..., Any]:
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        if found[0]:
            live = not is_recording(self)
            for each in {id(one): one for one in (found[1], *args[:1], *kwargs.values())}.values():
                if hasattr(each, "shape"):
                    captures.took(each, live=live)
        return found

    return read


def _discover(cv2: ModuleType) -> Iterator[Hook]:
    if hasattr(cv2, "VideoCapture"):
        yield Hook("cv2", "VideoCapture.__init__", _opening)
        yield Hook("cv2", "VideoCapture.open", _opening)
        yield Hook("cv2", "VideoCapture.read", _reading)
        yield Hook("cv2", "VideoCapture.retrieve", _reading)


ADAPTER = Adapter(
    name="captures",
    distributions=DISTRIBUTIONS,
    supported=">=4.10,<6",
    discover={"cv2": _discover},
    note="of captures by other libraries nothing is seen: say camera = { live = true }",
)
