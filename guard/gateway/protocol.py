"""HTTP/1.1 on one connection: uvicorn's protocol, with the client's certificate handed on and the heading bounded."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from guard.gateway.naming import certificate_names

__all__ = ["Protocol"]

MOST_HEADING = 256 * 1024
"""Bytes of a request line and its headers; the parser itself has no limit."""

HEADING_S = 10.0
"""How long a client may take to send them."""

GOODBYE_S = 0.5
"""How long a closed connection may take to end when the gateway stops."""


class Protocol(HttpToolsProtocol):
    """Puts the names of the verified client certificate into the scope's state: ASGI servers do not tell them.

    A connection whose request does not get as far as its body, within `HEADING_S` and `MOST_HEADING`, is closed.
    """

    _heading = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        names = () if tls is None else certificate_names(tls.getpeercert())
        self.app_state = {**self.app_state, "certificate_names": names}
        self._wait_for_heading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            # A TLS client that leaves an idle connection open does not answer the goodbye, and would be waited for.
            self.loop.call_later(GOODBYE_S, self.transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_heading()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is not None:
            self._heading += len(data)
            if self._heading > MOST_HEADING:
                self._give_up()

    def _wait_for_heading(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(HEADING_S, self._give_up)

    def _stop_waiting(self) -> None:
        self._heading = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._stop_waiting()
        self.transport.abort()
