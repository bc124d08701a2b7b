"""httpx and httpx2: each request that a client sends, redirects and repeated authentication included.

A refused request is answered with a ``403`` that no server sent: that is what a client of these libraries handles, and
SDKs built on them neither retry nor wrap it. Its ``raise_for_status()`` raises the `guard.Denied`, which is an
``HTTPStatusError`` as well. A transport that is used by itself raises it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

from guard.errors import Denied, GuardFault
from guard.integrations.fence import MOST_BYTES_READ, answer, crossing, crossing_async, described
from guard.integrations.hooks import Hook
from guard.integrations.refusals import as_native

__all__ = ["hooks_of"]


def hooks_of(library: str) -> tuple[Hook, ...]:
    """The places in the library of that name, ``httpx`` or ``httpx2``."""
    transports = f"{library}._transports.default"
    return (
        Hook(f"{library}._client", "Client._send_single_request", _sent_by(library)),
        Hook(f"{library}._client", "AsyncClient._send_single_request", _sent_later_by(library)),
        Hook(transports, "HTTPTransport.handle_request", _handled),
        Hook(transports, "AsyncHTTPTransport.handle_async_request", _handled_later),
    )


def _sent_by(library: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(self: Any, request: Any) -> Any:
            try:
                with crossing(_described(request)) as body:
                    return original(self, request if body is None else _with_body(request, body))
            except (Denied, GuardFault) as error:
                return _forbidden(library, request, error)

        return send

    return wrap


def _sent_later_by(library: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        async def send(self: Any, request: Any) -> Any:
            try:
                async with crossing_async(_described(request)) as body:
                    return await original(self, request if body is None else _with_body(request, body))
            except (Denied, GuardFault) as error:
                return _forbidden(library, request, error)

        return send

    return wrap


def _handled(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle(self: Any, request: Any) -> Any:
        with crossing(_described(request)) as body:
            return original(self, request if body is None else _with_body(request, body))

    return handle


def _handled_later(original: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(self: Any, request: Any) -> Any:
        async with crossing_async(_described(request)) as body:
            return await original(self, request if body is None else _with_body(request, body))

    return handle


def _described(request: Any) -> Any:
    """By its stream, which is what is sent: what `read` has kept may be older than what somebody put in there."""
    stream = request.stream
    given: Any = type(stream)
    kind = _kind_of(given)
    if kind == "ByteStream":  # also as a redirect hands it on
        stream = b"".join(stream)
    elif kind == "MultipartStream" and not hasattr(request, "_content"):
        stream = request.read() if _length(request) <= MOST_BYTES_READ else stream
    if not request.extensions:
        return described(request.method, str(request.url), request.headers, stream)
    url, via = _addressed(request)
    return described(request.method, url, request.headers, stream, via)


@lru_cache(maxsize=64)
def _kind_of(stream: type) -> str:
    """The name of one of the libraries' own streams; empty for one of the caller's, which may give what it likes."""
    return stream.__name__ if stream.__module__.partition(".")[0] in ("httpx", "httpx2") else ""


def _addressed(request: Any) -> tuple[str, str]:
    """What is asked for, and of whom: extensions may put another target, or another name, in the URL's place."""
    url, extensions = request.url, request.extensions
    via = _text(extensions.get("sni_hostname") or "")
    if "target" not in extensions:
        return str(url), via
    target, host = _text(extensions["target"]), _text(url.netloc)
    if "://" in target.partition("?")[0]:
        return target, f"{host},{via}" if via else host
    return f"{url.scheme}://{host}/{target.removeprefix('/')}", via


def _text(given: Any) -> str:
    return given.decode("latin-1") if isinstance(given, bytes) else str(given)


def _length(request: Any) -> int:
    """As declared; what is not declared could be anything."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else MOST_BYTES_READ + 1


def _with_body(request: Any, body: bytes) -> Any:
    headers = request.headers.copy()
    headers.pop("transfer-encoding", None)
    if body or "content-length" in headers:
        headers["content-length"] = str(len(body))
    return type(request)(request.method, request.url, headers=headers, content=body, extensions=request.extensions)


def _forbidden(library: str, request: Any, error: Denied | GuardFault) -> Any:
    # Its frames hold the request and its pictures, and an answer may be kept.
    return _answer_class(library)(request, error.with_traceback(None))


@lru_cache(maxsize=8)
def _answer_class(library: str) -> Any:
    made = sys.modules[library]

    said = [("x-should-retry", "false"), ("content-type", "application/json")]
    denied = made.Headers([*said, ("x-guard-decision", "deny")])
    fault = made.Headers([*said, ("x-guard-decision", "fault")])
    empty = made.ByteStream(b"")

    class Response(made.Response):  # type: ignore[misc, name-defined]
        """A 403 that no server sent."""

        def __init__(self, request: Any, error: Denied | GuardFault) -> None:
            headers = denied if isinstance(error, Denied) else fault
            super().__init__(403, headers=headers, stream=empty, request=request, extensions={"guard": error})
            self.is_closed = self.is_stream_consumed = True

        @cached_property
        def _content(self) -> bytes:
            """Written when it is read: a pipeline may be refused on every frame and never look."""
            return json.dumps(answer(self.extensions["guard"])).encode()

        def raise_for_status(self) -> Any:
            error = self.extensions["guard"]
            raise as_native(error, made.HTTPStatusError, {"request": self.request, "response": self})

    return Response
