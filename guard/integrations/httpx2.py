"""httpx2, see `guard.integrations.httpx_clients`."""

from __future__ import annotations

from guard.integrations.hooks import Adapter
from guard.integrations.httpx_clients import hooks_of

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="httpx2",
    distributions=("httpx2",),
    supported=">=2.0,<3",
    hooks=hooks_of("httpx2"),
    note="requests to known services and to hosts under [services] only; a streamed body is not looked at, a transport "
    "of one's own used without a client not seen",
)
