"""requests: every request, and every redirect that it follows, passes `Session.send`.

A refusal is a plain `guard.Denied`: requests' own exceptions derive from ``OSError`` and invite another try.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.integrations.fence import crossing, described
from guard.integrations.hooks import Adapter, Hook

__all__ = ["ADAPTER"]


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        if not hasattr(request, "url") or request.url is None:
            return original(self, request, **kwargs)  # no prepared request: requests says so itself
        with crossing(described(request.method or "GET", request.url, request.headers or {}, request.body)) as body:
            return original(self, request if body is None else _with_body(request, body), **kwargs)

    return send


def _with_body(request: Any, body: bytes) -> Any:
    made = request.copy()
    made.body = body or None
    made.headers.pop("Transfer-Encoding", None)
    if body or "Content-Length" in made.headers:
        made.headers["Content-Length"] = str(len(body))
    return made


ADAPTER = Adapter(
    name="requests",
    distributions=("requests",),
    supported=">=2.31,<3",
    hooks=(Hook("requests.sessions", "Session.send", _send),),
    note="requests to known services and to hosts under [services] only; a streamed body is not looked at",
)
