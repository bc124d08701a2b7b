"""One release for a call that its library judges in one place and sends in another.

::

    with Span("library", client):                        # around the whole call
        ...
        span = current_span("library", client)           # where it is judged
        payload = span.admit(passage(operation, refuse))
        span.remember(print_of(request))                 # what the judged call became
        ...
        current_span("library").is_for(print_of(sent))   # where it is sent

What was let through stays so until the call is over, and what is sent is compared with what was judged.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Any

from guard.approvals import uncovered

__all__ = ["Span", "current_span", "outside"]

_span: ContextVar[Span | None] = ContextVar("guard_span", default=None)


class Span:
    """One call of a library, from its judgement to its answer: a context manager around it, of both kinds.

    Args:
        library: whose call it is.
        owner: the client or the like that makes it.
    """

    __slots__ = ("_is_judged", "_is_over", "_outer", "_print", "_release", "_token", "library", "owner")

    def __init__(self, library: str, owner: object) -> None:
        self.library = library
        self.owner = owner
        self._release: Any = None
        self._is_judged = False
        self._is_over = False
        self._print: tuple[Any, ...] | None = None
        self._outer: Span | None = None
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> Span:
        self._outer = _span.get()
        self._token = _span.set(self)
        return self

    def __exit__(self, *raised: Any) -> None:
        release = self._end()
        if release is not None:
            release.__exit__(*raised)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(self, *raised: Any) -> None:
        release = self._end()
        if release is not None:
            await release.__aexit__(*raised)

    def _end(self) -> Any:
        self._is_over = True
        if self._token is not None:
            _span.reset(self._token)
        release, self._release = self._release, None
        return release

    def admit(self, through: AbstractContextManager[Any] | None) -> Any:
        """Enters a passage, whose release then lasts until the call is over, and gives its payload; None needs none."""
        self._is_judged = True
        if through is None:
            return None
        payload = through.__enter__()
        self._release = through
        return payload

    async def admit_async(self, through: AbstractAsyncContextManager[Any] | None) -> Any:
        """As `admit`."""
        self._is_judged = True
        if through is None:
            return None
        payload = await through.__aenter__()
        self._release = through
        return payload

    def remember(self, printed: tuple[Any, ...]) -> None:
        """Takes down what the judged call became: whatever tells one request from another."""
        self._print = printed

    def is_for(self, printed: tuple[Any, ...]) -> bool:
        """Whether this is the request that was judged, and not what somebody made of it since."""
        return not self._is_over and self._is_judged and self._print is not None and self._print == printed


def current_span(library: str, owner: object = None) -> Span | None:
    """The innermost span of that library around the running code; with an owner, only if it is that one's."""
    span = _span.get()
    while span is not None and span.library != library:
        span = span._outer
    if span is None or span._is_over or (owner is not None and span.owner is not owner):
        return None
    return span


def outside(span: Span | None) -> AbstractContextManager[None]:
    """Around a request that is not the one that was judged in this span: the span's release is none for it."""
    return nullcontext() if span is None else uncovered()
