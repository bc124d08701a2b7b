"""The way in: a request is read within its limits, named, judged, and only then handed to what answers it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from guard.config import SIGNED, GatewayConfig, Listener, Upstream
from guard.gateway.judging import Judge, Released
from guard.gateway.metrics import Metrics
from guard.gateway.naming import named_source
from guard.gateway.received import Headers, Received, decoded_path, unreadable, values
from guard.gateway.refusals import OVERLOADED, TOO_LARGE, Refused, refusal_response
from guard.gateway.upstreams import find_upstream
from guard.guard import Guard
from guard.source import Source

__all__ = ["Answer", "Door", "Limits"]

log = logging.getLogger("guard.gateway")

Answer = Callable[[Received, Upstream, Released], Awaitable[Callable[[Scope, Receive, Send], Awaitable[None]]]]
"""What is done with a released request: gives the response, itself an ASGI application."""


class Limits:
    """How many requests are read and judged at once, over all listeners."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._now = 0
        self._metrics = metrics

    def __enter__(self) -> Limits:
        if self._now >= self._most:
            raise _TooMany
        self._now += 1
        self._metrics.in_flight(self._now)
        return self

    def __exit__(self, *exc: object) -> None:
        self._now -= 1
        self._metrics.in_flight(self._now)


class _TooMany(Exception):
    """One request more than may be read and judged at once."""


class _Gone(Exception):
    """The client left before its request was whole."""


class Door:
    """An ASGI application: one listener that guards.

    Args:
        guard: who judges.
        config: its `[gateway]`.
        listener: where requests come in.
        judge, limits, metrics: shared by all doors of a gateway.
        answer: what is done with a released request.
        rewrites: whether what is released is sent by this gateway, so that a redacted body can take the place of the
            one that came; a signed request is never rewritten.
    """

    def __init__(
        self,
        guard: Guard,
        config: GatewayConfig,
        listener: Listener,
        *,
        judge: Judge,
        limits: Limits,
        metrics: Metrics,
        answer: Answer,
        rewrites: bool,
    ) -> None:
        self._guard = guard
        self._config = config
        self._listener = listener
        self._judge = judge
        self._limits = limits
        self._metrics = metrics
        self._answer = answer
        self._rewrites = rewrites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; a refusal unless every step before allowed it."""
        if scope["type"] != "http":
            return
        upstream = None
        try:
            heading, upstream = self._heading(scope)
            received, released = await self._admit(scope, receive, heading, upstream)
            response = await self._answer(received, upstream, released)
            self._metrics.decided(upstream.shape, released.decision)
        except _Gone:
            return
        except Refused as refused:
            response = self._refuse(refused, upstream)
        except Exception as error:
            log.exception("a request broke the gateway and was refused")
            why = f"the gateway failed: {type(error).__name__}"
            response = self._refuse(Refused(why, kind="failure"), upstream)
        await response(scope, receive, send)

    def _refuse(self, refused: Refused, upstream: Upstream | None) -> Any:
        shape = None if upstream is None else upstream.shape
        self._metrics.decided(shape or "none", refused.decision)
        self._metrics.refused(refused.kind)
        return refusal_response(refused, shape)

    def _heading(self, scope: Scope) -> tuple[Received, Upstream]:
        """The request without its body, and to whom it goes."""
        headers: Headers = scope["headers"]
        raw = scope.get("raw_path") or b""
        raw_path, query = raw.decode("latin-1"), scope["query_string"].decode("latin-1")
        path = decoded_path(raw_path)
        hosts = values(headers, "host")
        if path is None:
            raise Refused("its path could be read in two ways", kind="unreadable")
        if len(hosts) != 1:
            raise Refused("it does not name one host", kind="unreadable")
        upstream = find_upstream(self._config.upstreams, hosts[0].lower(), path)
        if upstream is None:
            raise Refused("no upstream is listed for this host and path", kind="upstream")
        target = f"{raw_path}?{query}" if query else raw_path
        return Received(scope["method"], hosts[0].lower(), target, path, query, headers), upstream

    async def _admit(
        self, scope: Scope, receive: Receive, heading: Received, upstream: Upstream
    ) -> tuple[Received, Released]:
        names = scope.get("state", {}).get("certificate_names", ())
        source = named_source(self._guard, self._listener, names, heading.headers)
        try:
            with self._limits:
                received = await self._read(receive, heading, upstream, source)
                rewritable = self._rewrites and upstream.shape not in SIGNED
                return received, await self._judge.judge(received, upstream, source, rewritable=rewritable)
        except _TooMany:
            why = f"{self._config.max_requests} requests are being judged already"
            raise await self._judge.refuse(why, upstream, source, kind="overload", status=OVERLOADED) from None

    async def _read(self, receive: Receive, heading: Received, upstream: Upstream, source: Source | None) -> Received:
        """The request with its body, read no further than the limit."""
        why, kind, status = unreadable(heading.method, heading.headers), "unreadable", 403
        if why is None:
            try:
                async with asyncio.timeout(self._config.read_s):
                    body = await self._body(receive, heading.headers)
            except TimeoutError:
                why, kind = f"it was not sent whole within {self._config.read_s:g} s", "slow"
            else:
                if body is not None:
                    return Received(
                        heading.method,
                        heading.authority,
                        heading.target,
                        heading.path,
                        heading.query,
                        heading.headers,
                        body,
                    )
                why, kind = f"its body is larger than {self._config.max_body_bytes} bytes", "size"
                status = TOO_LARGE
        raise await self._judge.refuse(why, upstream, source, kind=kind, status=status)

    async def _body(self, receive: Receive, headers: Headers) -> bytes | None:
        """The whole body; None where it is larger than allowed."""
        most = self._config.max_body_bytes
        stated = values(headers, "content-length")
        if stated and int(stated[0]) > most:
            return None
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > most:
                return None
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)
