"""The source follows work into other threads: what a thread or a pool is handed is judged as its maker's frame.

Only what says whose frame it is goes along. What was released does not: a worker of an allowed call is judged itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from guard.frames import Seen, context_frame, current_frame
from guard.source import context_intent, current_intent

__all__ = ["Followed"]

P = ParamSpec("P")
R = TypeVar("R")


class Followed:
    """A callable that runs under the frame and the intent of where this was made, or under none if there was none."""

    __slots__ = ("_call", "_intent", "_seen")

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._seen: Seen | None = current_frame()
        self._intent = current_intent()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with context_frame(self._seen), context_intent(self._intent):
            return self._call(*args, **kwargs)
