"""Who calls: the source that a client certificate names, or a header on a listener that only a proxy can reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guard.config import Listener
from guard.gateway.received import Headers, values
from guard.guard import Guard
from guard.source import Source

__all__ = ["certificate_names", "named_source"]


def certificate_names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The URI and DNS names of a verified certificate, as `ssl.SSLSocket.getpeercert` gives it.

    The common name is not read: it is free text.
    """
    if not certificate:
        return ()
    return tuple(value for kind, value in certificate.get("subjectAltName", ()) if kind in ("URI", "DNS"))


def named_source(guard: Guard, listener: Listener, names: Sequence[str], headers: Headers) -> Source | None:
    """The source; None where none is named, an unknown one is, or more than one could be meant.

    Args:
        guard: whose sources they are.
        listener: where the request came in; what a client may say of itself depends on it.
        names: those of the verified client certificate.
        headers: of the request. Two values of the source's header are the client's own and the proxy's: neither counts.
    """
    if listener.source_header is not None:
        said = values(headers, listener.source_header)
        return guard.sources.get(said[0]) if len(said) == 1 else None
    clients = guard.config.gateway.clients if guard.config.gateway is not None else {}
    ids = {clients.get(name, name) for name in names} & guard.sources.keys()
    return guard.sources[ids.pop()] if len(ids) == 1 else None
