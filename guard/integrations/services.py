"""Which service an endpoint counts as: what `[services]` of the deployment says of its host, else the library's own."""

from __future__ import annotations

from guard.frames import current_frame
from guard.guard import latest

__all__ = ["service_of"]


def service_of(host: str, default: str) -> str:
    """The service of the vocabulary that a host (``api.example.com`` or ``127.0.0.1:8000``) counts as.

    `[services]` of the guard that judges the call is asked for the host, which is in lower case, with its port, then
    without; an unlisted one is `default`.
    """
    seen = current_frame()
    guard = latest() if seen is None else seen.source.guard
    if guard is None:
        return default
    hosts = guard.config.hosts
    return hosts.get(host) or hosts.get(host.rpartition(":")[0] or host) or default
