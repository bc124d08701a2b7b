"""Anthropic's HTTP interface, at its own address or a cloud's (Bedrock ``/model/.../invoke``, Vertex ``:rawPredict``).

A request without picture, document or reference to one is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations.content import Content, operation_of

__all__ = ["translate"]

_WORDS = frozenset(
    [
        "messages",
        "batches",
        "count_tokens",
        "files",
        "sessions",
        "events",
        "skills",
        "complete",
        "invoke",
        "agents",
        "memories",
        "versions",
    ]
)
_VERTEX = re.compile(r":(?:stream)?rawPredict\Z", re.IGNORECASE)


def translate(path: str, body: Any, *, service: str = "anthropic") -> Operation | None:
    """The call of a request that sends something (POST, PUT, PATCH).

    Args:
        path: as it stands in the URL, with or without what stands before it.
        body: the JSON object; or the fields of a multipart body, each file as bytes; or a body of bytes.
        service: what the host counts as.

    The payload maps paths to pictures; `guard.integrations.translations.parts.replaced` puts them back.
    """
    content = Content()
    content.look(body)
    for message in _messages(body):
        if message.get("container"):
            _refer_to_container(content, message["container"])
    return operation_of(_name(path), service, content)


def _messages(body: Any) -> list[Mapping[str, Any]]:
    """The request itself, or those of a batch."""
    if not isinstance(body, Mapping):
        return []
    requests = body.get("requests")
    inner = [item.get("params") for item in requests if isinstance(item, Mapping)] if isinstance(requests, list) else []
    return [body, *(item for item in inner if isinstance(item, Mapping))]


def _refer_to_container(content: Content, container: Any) -> None:
    """A container that was used before keeps the files that were put into it; a new one has skills alone."""
    if isinstance(container, str) or (isinstance(container, Mapping) and isinstance(container.get("id"), str)):
        content.refer("files of an earlier container")


def _name(path: str) -> str:
    path = path.partition("?")[0]
    if _VERTEX.search(path):
        return "anthropic.messages"
    words = [word for word in path.split("/") if word in _WORDS]
    return ".".join(["anthropic", *words[:3]]) if words else "anthropic.request"
