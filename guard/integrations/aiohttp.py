"""aiohttp: every request, redirect and websocket takes its connection from `BaseConnector.connect`, after middlewares.

A refusal is a plain `guard.Denied`; nothing was connected then. What a connector of the caller's own lets through, or
changes, is judged where it is sent: a connection stands by then, and no byte of the request goes out.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from guard.integrations.fence import MOST_BYTES_READ, crossing_async, described
from guard.integrations.hooks import Adapter, Hook

__all__ = ["ADAPTER"]

_STREAMS = frozenset({"AsyncIterablePayload", "StreamReaderPayload"})


_crossed: WeakKeyDictionary[Any, tuple[Any, ...]] = WeakKeyDictionary()
"""The requests that were let through, and what each was then."""


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    async def connect(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        return await _through(req, lambda: original(self, req, *args, **kwargs))

    return connect


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, conn: Any, *args: Any, **kwargs: Any) -> Any:
        # A tunnel that a connector opens for a request is part of that.
        if self.method == "CONNECT" or _crossed.get(self) == _print_of(self):
            return await original(self, conn, *args, **kwargs)
        return await _through(self, lambda: original(self, conn, *args, **kwargs))

    return send


async def _through(req: Any, go: Callable[[], Awaitable[Any]]) -> Any:
    """Judges a request, and does with it what is to be done."""
    body = await _contents(req.body)
    via = getattr(req, "server_hostname", None) or ""
    async with crossing_async(described(req.method, str(req.url), req.headers, body, via)) as judged:
        if judged is None and isinstance(body, bytes) and body and not isinstance(req.body, bytes):
            judged = body  # a payload that was read can be read once only
        if judged:
            await _put(req, judged)
        _crossed[req] = _print_of(req)
        return await go()


def _print_of(req: Any) -> tuple[Any, ...]:
    """What tells one request from another."""
    return req.method, req.url, tuple(req.headers.items()), req.body


async def _contents(body: Any) -> Any:
    """Bytes where the body is known beforehand, else the body itself."""
    if body is None or isinstance(body, (bytes, bytearray)):
        return bytes(body or b"")
    kinds = {kind.__name__ for kind in type(body).__mro__}
    size = getattr(body, "size", None)
    if kinds & _STREAMS or size is None or size > MOST_BYTES_READ or not hasattr(body, "write"):
        return body
    taken = _Taken()
    await body.write(taken)
    return b"".join(taken.chunks)


class _Taken:
    """Stands for the connection while a payload is read."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        self.chunks.append(bytes(chunk))


async def _put(req: Any, body: bytes) -> None:
    if hasattr(req, "update_body"):
        await req.update_body(io.BytesIO(body))
        return
    req.headers.popall("Content-Length", None)
    req.update_body_from_data(io.BytesIO(body))


ADAPTER = Adapter(
    name="aiohttp",
    distributions=("aiohttp",),
    supported=">=3.9,<4",
    hooks=(
        Hook("aiohttp.connector", "BaseConnector.connect", _connect),
        Hook("aiohttp.client_reqrep", "ClientRequest.send", _send),
    ),
    note="requests to known services and to hosts under [services] only; a streamed body is not looked at, and the "
    "messages of a websocket neither",
)
