"""A request as it came in, and whether it can be read in one way only.

What is judged must be what the service reads. So whatever two programs could understand differently is refused: a path
with dot segments, a header given twice, a compressed body, a connection that changes its protocol.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

__all__ = ["Headers", "Received", "decoded_path", "unreadable", "values"]

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, in the order in which they came."""

_FORBIDDEN_IN_PATH = re.compile(r"[\x00-\x20\x7f\\%#?]|//|/\.{1,2}(?:/|\Z)")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})?")
_NEEDS_NO_ESCAPE = re.compile(r"[A-Za-z0-9._~/\\-]")
_ONCE = ("host", "content-type", "content-length", "content-encoding", "x-amz-target", "x-envoy-auth-partial-body")
_OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url")
_CONNECTION = frozenset({"", "close", "keep-alive", "te"})
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Received:
    """One request.

    Attributes:
        method: of HTTP, in upper case.
        authority: the host that the client addressed, with its port where one is given, in lower case.
        target: path and query as they came.
        path: the path, percent-decoded.
        query: the query as it came.
        headers: as they came.
        body: the whole body.
    """

    method: str
    authority: str
    target: str
    path: str
    query: str
    headers: Headers
    body: bytes = b""


def values(headers: Headers, name: str) -> list[str]:
    """Every value that the header has, in order."""
    wanted = name.encode("latin-1")
    return [value.decode("latin-1").strip() for key, value in headers if key == wanted]


def decoded_path(raw: str) -> str | None:
    """The path percent-decoded; None where two programs could read different paths in it."""
    if not raw.startswith("/") or not raw.isascii():
        return None
    for escaped in _ESCAPED.finditer(raw):
        if escaped[1] is None or _NEEDS_NO_ESCAPE.match(chr(int(escaped[1], 16))):
            return None
    path = unquote(raw, errors="replace")
    return None if "\ufffd" in path or _FORBIDDEN_IN_PATH.search(path) else path


def unreadable(method: str, headers: Headers) -> str | None:
    """Why a request with this heading cannot be read in one way only; None where it can."""
    if method not in _METHODS:
        return f"the method {method[:20]} cannot be judged"
    for name in _ONCE:
        if len(values(headers, name)) > 1:
            return f"the header {name} is given twice"
    for name in _OVERRIDES:
        if values(headers, name):
            return f"the header {name} would make another request of it"
    if values(headers, "upgrade"):
        return "a connection that changes its protocol cannot be judged"
    named = {name.strip().lower() for value in values(headers, "connection") for name in value.split(",")}
    if not named <= _CONNECTION:
        return "its header connection would take other headers out of it on the way"
    if values(headers, "content-encoding") not in ([], ["identity"]):
        return "a compressed body cannot be looked at"
    if values(headers, "x-envoy-auth-partial-body") not in ([], ["false"]):
        return "only a part of the body was handed over"
    return None
