"""One release for a call that its library judges in one place and sends in another.

Where it is judged, the release is handed to the span of the running code; it stays in force until the call is over, and
what is sent is compared with the print of what was judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from guard.approvals import uncovered

__all__ = ["Span", "current_span", "outside", "spanning"]

_span: ContextVar[Span | None] = ContextVar("guard_span", default=None)


class Span:
    """One call of a library, from its judgement to its answer.

    Attributes:
        library: whose call it is.
        owner: the client or the like that makes it.
        release: an `ExitStack`, or an `AsyncExitStack`: holds what was let through until the call is over.
        is_judged: whether the call has been judged.
    """

    __slots__ = ("_print", "is_judged", "is_over", "library", "outer", "owner", "release")

    def __init__(self, library: str, owner: object, release: Any, outer: Span | None) -> None:
        self.library = library
        self.owner = owner
        self.release = release
        self.outer = outer
        self.is_judged = False
        self.is_over = False
        self._print: tuple[Any, ...] | None = None

    def remember(self, printed: tuple[Any, ...]) -> None:
        """Takes down what the judged call became: whatever tells one request from another."""
        self._print = printed

    def is_for(self, printed: tuple[Any, ...]) -> bool:
        """Whether this is the request that was judged, and not what somebody made of it since."""
        return not self.is_over and self.is_judged and self._print is not None and self._print == printed


@contextmanager
def spanning(library: str, owner: object, release: Any) -> Iterator[Span]:
    """Makes it the span of the running code."""
    span = Span(library, owner, release, _span.get())
    token = _span.set(span)
    try:
        yield span
    finally:
        span.is_over = True
        _span.reset(token)


def current_span(library: str, owner: object = None) -> Span | None:
    """The innermost span of that library around the running code; with an owner, only if it is that one's."""
    span = _span.get()
    while span is not None and span.library != library:
        span = span.outer
    if span is None or span.is_over or (owner is not None and span.owner is not owner):
        return None
    return span


def outside(span: Span | None) -> AbstractContextManager[None]:
    """Around a request that is not the one that was judged in this span: the span's release is none for it."""
    return nullcontext() if span is None else uncovered()
