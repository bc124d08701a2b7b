"""What a request asks of a service, in the guard's terms; the same translations as in process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guard.config import Shape, Upstream
from guard.gateway.received import Received, values
from guard.gateway.upstreams import forwarded_target
from guard.integrations import Operation
from guard.integrations.translations import azure_face, openai, parts, rekognition

__all__ = ["Unreadable", "operation_of", "rewritten", "unknown_operation"]


_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

_UNREADABLE_FILE = b"\0"
"""Stands for a form or an upload: its parts can be cut in more than one way, so no picture in it counts as seen."""


class Unreadable(Exception):
    """The request cannot be translated, so it cannot be judged; says why."""


def operation_of(received: Received, upstream: Upstream) -> Operation | None:
    """The operation; None for a request that carries no picture or reference to one and is no face operation.

    Raises `Unreadable` for what a service of that shape could understand and this cannot.
    """
    return _TRANSLATE[upstream.shape](received, upstream)


def unknown_operation(upstream: Upstream) -> Operation:
    """What stands in the record where a request was refused before it could be translated: the worst it could be."""
    actions = ("identify",) if upstream.shape in ("rekognition", "azure_face") else ("vlm_identify",)
    return Operation(f"{upstream.shape} request", upstream.service, actions)


def rewritten(received: Received, payload: Any) -> bytes:
    """The body with the parts that the guard gave back in their places; the very same one where none has changed."""
    body = parts.replaced(received.body, payload)
    if not isinstance(body, (bytes, bytearray)):
        raise TypeError(f"the body became a {type(body).__name__}")
    return bytes(body)


def _rekognition(received: Received, upstream: Upstream) -> Operation | None:
    target = "".join(values(received.headers, "x-amz-target"))
    operation = rekognition.operation_of(target)
    if received.method != "POST" or received.path != "/" or operation is None:
        raise Unreadable("it names no operation of Rekognition in X-Amz-Target")
    return rekognition.translate(operation, _json(received.body))


def _azure_face(received: Received, upstream: Upstream) -> Operation | None:
    path = forwarded_target(upstream, received.path)
    if not path.casefold().startswith("/face/v"):
        raise Unreadable("its path is not under /face/v..., where the operations of Azure AI Face are")
    body: Mapping[str, Any] | bytes | None = received.body or None
    if body is not None and _is_json(received):
        body = _json(received.body)
    return azure_face.translate(received.method, path, azure_face.query_of(received.query), body)


def _openai(received: Received, upstream: Upstream) -> Operation | None:
    if received.method in _READING and not received.body:
        return None
    path = forwarded_target(upstream, received.path)
    body: Mapping[str, Any] | bytes = _UNREADABLE_FILE
    if _is_json(received) or not received.body:
        body = _json(received.body)
    return openai.translate(path, body, service=upstream.service)


_TRANSLATE: Mapping[Shape, Callable[[Received, Upstream], Operation | None]] = {
    "rekognition": _rekognition,
    "azure_face": _azure_face,
    "azure_openai": _openai,
    "openai": _openai,
}


def _is_json(received: Received) -> bool:
    kind = "".join(values(received.headers, "content-type")).partition(";")[0].strip().casefold()
    return kind == "application/json" or kind.endswith("+json")


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        content = parts.json_object(body or b"{}")
    except ValueError as error:
        raise Unreadable(f"its body is no JSON that can be read in one way only: {error}") from None
    if not isinstance(content, Mapping):
        raise Unreadable(f"its body is a {type(content).__name__}, where an object belongs")
    return content
