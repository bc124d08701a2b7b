"""Which upstream a request goes to: by the host that the client addressed, or by the prefix of its path."""

from __future__ import annotations

from collections.abc import Iterable

from guard.config import Upstream

__all__ = ["find_upstream", "forwarded_target"]


def find_upstream(upstreams: Iterable[Upstream], authority: str, path: str) -> Upstream | None:
    """The upstream, None where no listed one takes the request. A host counts before a prefix, a long prefix first."""
    by_prefix = None
    host = authority.rpartition(":")[0] if authority.rpartition(":")[2].isdecimal() else authority
    for upstream in upstreams:
        if not upstream.match.startswith("/"):
            if upstream.match in (authority, host):
                return upstream
        elif _is_below(path, upstream.match) and (by_prefix is None or len(upstream.match) > len(by_prefix.match)):
            by_prefix = upstream
    return by_prefix


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def forwarded_target(upstream: Upstream, target: str) -> str:
    """Path and query as the upstream gets them: without the prefix by which it was found, as they came otherwise."""
    if not upstream.match.startswith("/") or upstream.match == "/":
        return target
    rest = target[len(upstream.match) :]
    return rest if rest.startswith("/") else f"/{rest}"
