"""The standard library's `http.client`, and what sends through it: `urllib.request`, `xmlrpc`, urllib3 1.

A request in one piece is judged as such. One that is put together by hand (`putrequest`, `putheader`, `endheaders`) is
judged where its heading ends, with the body that is handed over there; of one that is sent later it is unknown what it
holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from guard.integrations.fence import crossing, described, with_length
from guard.integrations.hooks import Adapter, Hook

__all__ = ["ADAPTER", "guarded_request"]

_whole: ContextVar[Any] = ContextVar("guard_whole_request", default=None)
"""The connection whose whole request is being sent around the running code: what it puts together was judged."""

_LATER: Any = object()
"""A body of which nothing is known yet."""


def guarded_request(original: Callable[..., Any]) -> Callable[..., Any]:
    """What runs instead of `HTTPConnection.request`; urllib3 has a class of that kind too."""
    may_frame = "encode_chunked" in inspect.signature(original).parameters

    def request(self: Any, method: str, url: str, body: Any = None, headers: Any = None, **kwargs: Any) -> Any:
        headers = {} if headers is None else headers
        # The standard library sends text as Latin-1.
        sent = body.encode("iso-8859-1", "replace") if isinstance(body, str) else body
        if may_frame and not kwargs.get("encode_chunked") and _comes_in_pieces(headers):
            sent = _LATER
        where, via = _addressed(self, method, url)
        with crossing(described(method, where, headers, sent, via)) as judged:
            token = _whole.set(self)
            try:
                if judged is None:
                    return original(self, method, url, body, headers, **kwargs)
                return original(self, method, url, judged or None, with_length(headers, len(judged)), **kwargs)
            finally:
                _whole.reset(token)

    return request


def _comes_in_pieces(headers: Any) -> bool:
    """Whether it was cut into pieces by hand: what it holds stands between their lengths."""
    return any(_text(name).lower() == "transfer-encoding" for name in headers)


def _ended(original: Callable[..., Any]) -> Callable[..., Any]:
    def endheaders(self: Any, message_body: Any = None, **kwargs: Any) -> Any:
        if _whole.get() is self or not self._buffer:
            return original(self, message_body, **kwargs)
        method, url, headers = _heading(self)
        is_cut = "transfer-encoding" in headers and (message_body is None or not kwargs.get("encode_chunked"))
        is_to_come = message_body is None and headers.get("content-length", "0") != "0"
        body = _LATER if is_cut or is_to_come else message_body
        where, via = _addressed(self, method, url)
        with crossing(described(method, where, headers, body, via)) as judged:
            if judged is None:
                return original(self, message_body, **kwargs)
            _state_length(self, len(judged))
            return original(self, judged or None, **kwargs)

    return endheaders


def _heading(connection: Any) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers of what a connection has gathered, names in lower case."""
    first, *rest = map(_text, connection._buffer)
    method, _, target = first.partition(" ")
    headers: dict[str, str] = {}
    for line in rest:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return method, target.rpartition(" ")[0] or target, headers


def _text(name: Any) -> str:
    return name.decode("iso-8859-1") if isinstance(name, bytes) else str(name)


def _state_length(connection: Any, length: int) -> None:
    for number, line in enumerate(connection._buffer):
        if _text(line).partition(":")[0].strip().lower() == "content-length":
            connection._buffer[number] = f"Content-Length: {length}".encode()


def _addressed(connection: Any, method: str, url: str) -> tuple[str, str]:
    """The URL in full, and whom the connection is made to.

    Behind a proxy the URL is whole, or the connection is a tunnel to another host. A server that is asked for a whole
    URL may answer for itself, whatever host that names.
    """
    host = connection._tunnel_host or connection.host
    port = connection._tunnel_port if connection._tunnel_host else connection.port
    via = f"[{host}]:{port}" if ":" in host and "@" not in host else f"{host}:{port}"
    if method.upper() == "CONNECT":
        return f"https://{url}", via
    if url.partition("://")[0].lower() in ("http", "https"):
        return url, via
    scheme = "https" if connection.default_port == 443 or connection._tunnel_host else "http"
    return f"{scheme}://{via}{url}", ""


ADAPTER = Adapter(
    name="http.client",
    distributions=(),
    supported="",
    hooks=(
        Hook("http.client", "HTTPConnection.request", guarded_request),
        Hook("http.client", "HTTPConnection.endheaders", _ended),
    ),
    note="requests to known services and to hosts under [services] only; of a body that is sent after its heading it "
    "is unknown what it holds, and what is sent without one is not seen",
)
