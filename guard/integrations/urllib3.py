"""urllib3: every request, retry and redirect passes `HTTPConnectionPool.urlopen`, botocore's and requests' too.

A connection that is used without its pool is guarded as one of the standard library is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.integrations.fence import crossing, described, with_length
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.http_client import guarded_request

__all__ = ["ADAPTER"]


def _urlopen(original: Callable[..., Any]) -> Callable[..., Any]:
    def urlopen(
        self: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        sent = self.headers if headers is None else headers
        where, via = _addressed(self, method, url)
        with crossing(described(method, where, sent or {}, body, via)) as judged:
            if judged is None:
                return original(self, method, url, body, headers, *args, **kwargs)
            return original(self, method, url, judged or None, with_length(sent, len(judged)), *args, **kwargs)

    return urlopen


def _addressed(pool: Any, method: str, url: str) -> tuple[str, str]:
    """The URL in full, which it is already behind a proxy, and whom the pool is connected to, as in `http_client`.

    A pool may name another host to the certificate than it connects to.
    """
    host = f"[{pool.host}]" if ":" in str(pool.host).strip("[]") else pool.host
    here = f"{host}:{pool.port}" if pool.port else str(host)
    named = pool.conn_kw.get("server_hostname") or ""
    via = f"{here},{named}" if named else here
    if method.upper() == "CONNECT":
        return f"https://{url}", via
    if url.partition("://")[0].lower() in ("http", "https"):
        return url, via
    return f"{pool.scheme}://{here}{url}", named


ADAPTER = Adapter(
    name="urllib3",
    distributions=("urllib3",),
    supported=">=1.26,<3",
    hooks=(
        Hook("urllib3.connectionpool", "HTTPConnectionPool.urlopen", _urlopen),
        Hook("urllib3.connection", "HTTPConnection.request", guarded_request),
        Hook("urllib3.connection", "HTTPConnection.request_chunked", guarded_request, required=False),
    ),
    note="requests to known services and to hosts under [services] only; a streamed body is not looked at",
)
