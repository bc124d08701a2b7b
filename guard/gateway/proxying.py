"""Sends a released request to its upstream, and the answer back as it comes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import nullcontext

import aiohttp
from multidict import CIMultiDict
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response, StreamingResponse
from yarl import URL

from guard.config import Upstream
from guard.gateway.judging import Released
from guard.gateway.metrics import Metrics
from guard.gateway.received import Received
from guard.gateway.refusals import DECISION_HEADER, RECORD_HEADER
from guard.gateway.upstreams import forwarded_target

__all__ = ["Proxy"]

log = logging.getLogger("guard.gateway")

CONNECT_S = 10.0
SILENCE_S = 600.0
"""How long an upstream may say nothing: a language model thinks for minutes."""

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"}
) | {
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_OURS = frozenset({DECISION_HEADER, RECORD_HEADER, "x-guard-source"})


class Proxy:
    """The client side of a gateway: one pool of connections for all upstreams.

    Args:
        metrics: where failures are counted.
        source_headers: the headers that name sources; they never reach an upstream.
    """

    def __init__(self, metrics: Metrics, source_headers: Iterable[str]) -> None:
        self._metrics = metrics
        self._dropped = _HOP_BY_HOP | _OURS | frozenset(source_headers) | {"content-length", "expect"}
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the pool; belongs to the running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
        )

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()

    async def answer(self, received: Received, upstream: Upstream, released: Released) -> Response:
        """The upstream's answer, streamed. 502 where there is none, 504 where it does not come in time."""
        said: dict[str, str] = {DECISION_HEADER: released.decision}
        if released.record is not None:
            said[RECORD_HEADER] = released.record
        try:
            with released.approval or nullcontext():
                answer = await self._send(received, upstream, released)
        except (aiohttp.ClientError, OSError) as error:
            self._metrics.upstream_failed(upstream.shape)
            log.warning("upstream %s did not answer: %s: %s", upstream.match, type(error).__name__, error)
            status = 504 if isinstance(error, TimeoutError) else 502
            content = {"error": {"message": "the upstream did not answer", "code": "upstream_unreachable"}}
            return JSONResponse(content, status, said)
        response = StreamingResponse(_chunks(answer), answer.status, background=BackgroundTask(answer.release))
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.raw_headers
            if name.decode("latin-1").lower() not in _HOP_BY_HOP | _OURS
        ]
        response.raw_headers += [(name.encode(), value.encode()) for name, value in said.items()]
        return response

    async def _send(self, received: Received, upstream: Upstream, released: Released) -> aiohttp.ClientResponse:
        if self._session is None or upstream.url is None:
            raise RuntimeError("there is nowhere to forward to")
        headers: CIMultiDict[str] = CIMultiDict()
        for name, value in received.headers:
            text = name.decode("latin-1")
            if text not in self._dropped and not (text == "host" and upstream.match.startswith("/")):
                headers.add(text, value.decode("latin-1"))
        if released.body or received.method not in ("GET", "HEAD"):
            headers["content-length"] = str(len(released.body))
        target = forwarded_target(upstream, received.target)
        return await self._session.request(
            received.method,
            URL(upstream.url + target, encoded=True),
            data=released.body or None,
            headers=headers,
            allow_redirects=False,
        )


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in answer.content.iter_any():
        yield chunk
