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
        with crossing(described(method, _absolute(self, url), sent or {}, body)) as judged:
            if judged is None:
                return original(self, method, url, body, headers, *args, **kwargs)
            return original(self, method, url, judged or None, with_length(sent, len(judged)), *args, **kwargs)

    return urlopen


def _absolute(pool: Any, url: str) -> str:
    """Behind a proxy the URL is whole already."""
    if url.partition("://")[0].lower() in ("http", "https"):
        return url
    host = f"[{pool.host}]" if ":" in str(pool.host).strip("[]") else pool.host
    return f"{pool.scheme}://{host}:{pool.port}{url}" if pool.port else f"{pool.scheme}://{host}{url}"


ADAPTER = Adapter(
    name="urllib3",
    distributions=("urllib3",),
    supported=">=1.26,<3",
    hooks=(
        Hook("urllib3.connectionpool", "HTTPConnectionPool.urlopen", _urlopen),
        Hook("urllib3.connection", "HTTPConnection.request", guarded_request),
    ),
    note="requests to known services and to hosts under [services] only; a streamed body is not looked at",
)
