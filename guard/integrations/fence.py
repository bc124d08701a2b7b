"""The second fence: requests to known services that are sent without the services' SDKs, or below them.

What an SDK's own hook has released is not judged again here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from typing import Any

from guard.approvals import Approval, uncovered
from guard.errors import Denied, GuardFault
from guard.integrations.endpoints import Crossing, Request, recognise
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async

__all__ = ["MOST_BYTES_READ", "answer", "carrying", "crossing", "crossing_async", "described", "with_length"]

MOST_BYTES_READ = 64 * 1024 * 1024
"""A body whose length is declared is read beforehand up to this size; of others it is unknown what they hold."""

_sent: ContextVar[bytes | None] = ContextVar("guard_sent", default=None)
"""The body that this fence released around the running code; None where it released none."""


def described(method: str, url: str, headers: Any, body: Any, via: str = "") -> Request:
    """The request as `recognise` wants it; `body` is bytes, text, None, or something that will give them later.

    `via` is the host that the connection is made to, where the URL may name another.
    """
    lowered = _lowered(headers)
    if body is None:
        return Request(method.upper(), url, lowered, via=via)
    if type(body) is bytes:
        return Request(method.upper(), url, lowered, body, via=via)
    if isinstance(body, str):
        return Request(method.upper(), url, lowered, _encoded(body, lowered), via=via)
    if isinstance(body, (bytes, bytearray, memoryview)):
        # By its buffer, from which it is sent: `bytes(...)` asks a class of the caller's own.
        return Request(method.upper(), url, lowered, memoryview(body).tobytes(), via=via, is_copy=True)
    return Request(method.upper(), url, lowered, unread="a streamed body", via=via)


def _encoded(text: str, headers: Mapping[str, str]) -> bytes:
    """Text as it is sent: in UTF-8, by older libraries in Latin-1, as the length says."""
    if not text.isascii() and headers.get("content-length") == str(len(text)):
        return text.encode("iso-8859-1", "replace")
    return text.encode("utf-8")


def _lowered(headers: Any) -> dict[str, str]:
    """The headers of any of the libraries by their names in lower case; what is given twice is joined."""
    pairs = getattr(headers, "raw", None)  # of httpx: their text has to be decoded at every look
    if not isinstance(pairs, list):
        pairs = headers.lower_items() if hasattr(headers, "lower_items") else headers.items()
    lowered: dict[str, str] = {}
    for name, value in pairs:
        key = (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower()
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        lowered[key] = f"{lowered[key]}, {text}" if key in lowered else text
    return lowered


def crossing(request: Request) -> AbstractContextManager[Any]:
    """Judges a request when entered, and gives the body that may go out; None where it goes out as it is.

    Raises `Denied` or `GuardFault`; nothing was sent then.
    """
    found = recognise(request)
    if found is None:
        return _NOBODYS
    return _LookedAt(request, found) if found.operation is None else _Judged(request, found, found.operation)


def crossing_async(request: Request) -> AbstractAsyncContextManager[Any]:
    """As `crossing`, without standing in the way of the event loop."""
    found = recognise(request)
    if found is None:
        return _NOBODYS
    return _LookedAt(request, found) if found.operation is None else _JudgedLater(request, found, found.operation)


class _Around:
    """What lies around a judged request: nothing that is not part of it is covered, and its body is known below.

    Classes and no generators: a denied request on every frame pays for entering them.
    """

    __slots__ = ("_apart", "_found", "_request", "_sent")

    def __init__(self, request: Request, found: Crossing) -> None:
        self._request = request
        self._found = found
        self._apart: AbstractContextManager[None] | None = None
        self._sent: Token[bytes | None] | None = None

    def _stand_apart(self) -> None:
        """A request that something else makes while another is sent (a hook, a callback) is no part of that one.

        A redirect, another try and the layers below carry the body that was released.
        """
        above = _sent.get()
        if above is not None and above != self._request.body:
            self._apart = uncovered()
            self._apart.__enter__()

    def _send(self, payload: Any) -> bytes | None:
        body = _body(self._request, self._found, payload)
        self._sent = _sent.set(body or b"")
        return body

    def _sent_it(self) -> None:
        if self._sent is not None:
            _sent.reset(self._sent)

    def _stand_back(self) -> None:
        if self._apart is not None:
            self._apart.__exit__(None, None, None)


class _Judged(_Around):
    """A request inside its passage."""

    __slots__ = ("_passage",)

    def __init__(self, request: Request, found: Crossing, operation: Operation) -> None:
        super().__init__(request, found)
        self._passage = passage(operation)

    def __enter__(self) -> bytes | None:
        self._stand_apart()
        try:
            payload = self._passage.__enter__()
            try:
                return self._send(payload)
            except BaseException:
                self._passage.__exit__(*sys.exc_info())
                raise
        except BaseException:
            self._stand_back()
            raise

    def __exit__(self, *raised: Any) -> None:
        try:
            self._sent_it()
        finally:
            try:
                self._passage.__exit__(*raised)
            finally:
                self._stand_back()


class _JudgedLater(_Around):
    """As `_Judged`, in a coroutine."""

    __slots__ = ("_passage",)

    def __init__(self, request: Request, found: Crossing, operation: Operation) -> None:
        super().__init__(request, found)
        self._passage = passage_async(operation)

    async def __aenter__(self) -> bytes | None:
        self._stand_apart()
        try:
            payload = await self._passage.__aenter__()
            try:
                return self._send(payload)
            except BaseException:
                await self._passage.__aexit__(*sys.exc_info())
                raise
        except BaseException:
            self._stand_back()
            raise

    async def __aexit__(self, *raised: Any) -> None:
        try:
            self._sent_it()
        finally:
            try:
                await self._passage.__aexit__(*raised)
            finally:
                self._stand_back()


class _LookedAt:
    """Around a request that needs no judgement: a release of no action.

    It covers nothing, and tells `guard.integrations.tripwire` that this was looked at. What was looked at is what goes
    out: a body that can be changed meanwhile goes out as the copy.
    """

    def __init__(self, request: Request, found: Crossing) -> None:
        self._approval = Approval(found.service, (), sealed=False)
        self._body = request.body if request.is_copy else None

    def __enter__(self) -> bytes | None:
        self._approval.__enter__()
        return self._body

    def __exit__(self, *raised: Any) -> None:
        self._approval.__exit__(*raised)

    async def __aenter__(self) -> bytes | None:
        self._approval.__enter__()
        return self._body

    async def __aexit__(self, *raised: Any) -> None:
        self._approval.__exit__(*raised)


_NOBODYS: nullcontext[None] = nullcontext()


@contextmanager
def carrying() -> Iterator[Callable[[bytes], object]]:
    """Gives a hook above, which has released a call, a function to say with which body it is sent.

    A request that is made in there with another body is judged on its own.
    """
    token = _sent.set(None)
    try:
        yield _sent.set
    finally:
        _sent.reset(token)


def _body(request: Request, found: Crossing, payload: Any) -> bytes | None:
    if request.unread is not None:
        return None
    if found.operation is not None and payload == found.operation.payload:
        return request.body
    try:
        return found.body.with_payload(payload)
    except Exception as error:  # what cannot be written back is not sent
        raise GuardFault(
            f"the request could not be made again with what may go out: {type(error).__name__}: {error}",
            mend="send the picture as a part of JSON, as a file of a form, or as the whole body",
        ) from error


def with_length(headers: Any, length: int) -> Any:
    """A copy of the headers, with that ``Content-Length`` where they state one."""
    made = headers.copy() if hasattr(headers, "copy") else dict(headers or {})
    for name in list(made):
        if name.lower() == "content-length":
            made[name] = str(length)
    return made


def answer(error: Denied | GuardFault) -> dict[str, Any]:
    """What a refused request is answered with where the library's users expect an answer: in every service's words."""
    return {
        "__type": "AccessDeniedException",
        "message": str(error),
        "error": {
            "type": "permission_error",
            "code": "face_policy_violation" if isinstance(error, Denied) else "face_policy_fault",
            "status": "PERMISSION_DENIED",
            "message": str(error),
        },
    }
