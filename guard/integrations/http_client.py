"""The standard library's `http.client`, and what sends through it: `urllib.request`, `xmlrpc`, urllib3 1.

A request that is put together by hand (`putrequest`, `send`) is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.integrations.fence import crossing, described, with_length
from guard.integrations.hooks import Adapter, Hook

__all__ = ["ADAPTER", "guarded_request"]


def guarded_request(original: Callable[..., Any]) -> Callable[..., Any]:
    """What runs instead of `HTTPConnection.request`; urllib3 has a class of that kind too."""

    def request(self: Any, method: str, url: str, body: Any = None, headers: Any = None, **kwargs: Any) -> Any:
        headers = {} if headers is None else headers
        # The standard library sends text as Latin-1.
        sent = body.encode("iso-8859-1", "replace") if isinstance(body, str) else body
        with crossing(described(method, _absolute(self, url), headers, sent)) as judged:
            if judged is None:
                return original(self, method, url, body, headers, **kwargs)
            return original(self, method, url, judged or None, with_length(headers, len(judged)), **kwargs)

    return request


def _absolute(connection: Any, url: str) -> str:
    """Behind a proxy the URL is whole, or the connection is a tunnel to another host."""
    if url.partition("://")[0].lower() in ("http", "https"):
        return url
    host = connection._tunnel_host or connection.host
    port = connection._tunnel_port if connection._tunnel_host else connection.port
    scheme = "https" if connection.default_port == 443 or connection._tunnel_host else "http"
    return f"{scheme}://[{host}]:{port}{url}" if ":" in host and "@" not in host else f"{scheme}://{host}:{port}{url}"


ADAPTER = Adapter(
    name="http.client",
    distributions=(),
    supported="",
    hooks=(Hook("http.client", "HTTPConnection.request", guarded_request),),
    note="requests to known services and to hosts under [services] only; what putrequest puts together is not seen",
)
