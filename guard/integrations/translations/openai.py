"""OpenAI's HTTP interface, and what speaks it: Azure OpenAI, and servers of one's own.

A request without picture, video or reference to one is None. Sound alone is not looked at: ``/audio`` is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations.content import Content, operation_of

__all__ = ["translate", "translate_event"]

_PREFIX = re.compile(r"\A/?(?:[^?]*/)?(?:v\d+|openai|deployments/[^/?]+)(?=/)", re.IGNORECASE)
_WORDS = frozenset(
    [
        "agents",
        "assistants",
        "batches",
        "beta",
        "calls",
        "chat",
        "chatkit",
        "client_secrets",
        "compact",
        "completions",
        "containers",
        "content_provenance_checks",
        "conversations",
        "edits",
        "embeddings",
        "evals",
        "extensions",
        "files",
        "fine_tuning",
        "generations",
        "images",
        "input_tokens",
        "items",
        "jobs",
        "messages",
        "moderations",
        "parts",
        "realtime",
        "responses",
        "runs",
        "sessions",
        "skills",
        "threads",
        "uploads",
        "variations",
        "vector_stores",
        "videos",
    ]
)
"""The words of a path that may stand in a message; ids may not."""

_ELSEWHERE: tuple[tuple[str, str], ...] = (
    (r"threads/[^/]+/runs", "an earlier thread"),
    (r"uploads/[^/]+/parts", "a piece of a file"),
    (r"videos/[^/]+/remix", "an earlier video"),
    (r"videos/(?:edits|extensions)", "an earlier video"),
    (r"(?:realtime|live)/calls|live/sessions", "a call whose media go another way"),
    (r"(?:realtime|chatkit)/(?:sessions|client_secrets)", "a key with which somebody else may send pictures"),
    (r"agents/sessions/[^/]+/events", "an earlier conversation"),
)
"""Requests that lead to pictures which do not stand in them."""

_ELSEWHERE_AT = tuple((re.compile(rf"\A{pattern}\Z"), what) for pattern, what in _ELSEWHERE)
_SPOKEN = re.compile(r"\A(?:audio|realtime/(?:transcription_sessions|translations))(?:/|\Z)")


def translate(path: str, body: Any, *, service: str = "openai") -> Operation | None:
    """The call of a request that sends something (POST, PUT, PATCH).

    Args:
        path: as it stands in the URL, with or without what stands before it: ``/v1/chat/completions``,
            ``/openai/deployments/x/images/edits?api-version=1``.
        body: the JSON object; or the fields of a multipart body, each file as bytes; or a body of bytes.
        service: what the host counts as.

    The payload maps paths to pictures; `guard.integrations.translations.parts.replaced` puts them back.
    """
    name, is_spoken, elsewhere = _place(path)
    if is_spoken:
        return None
    content = Content()
    content.look(body)
    if isinstance(body, Mapping):
        _refer_to_earlier(content, body)
    for what in elsewhere:
        content.refer(what)
    return operation_of(name, service, content)


def translate_event(event: Any, *, service: str = "openai") -> Operation | None:
    """The call of one message on a realtime or responses websocket, as JSON text, bytes or an object."""
    content = Content()
    event = content.look_into(event)
    if isinstance(event, Mapping):
        _refer_to_earlier(content, event)
    return operation_of("openai.websocket", service, content)


def _refer_to_earlier(content: Content, body: Mapping[str, Any]) -> None:
    """Names of what the service remembers, where they are the request's own."""
    if body.get("conversation") not in (None, "auto", "none") and not _is_left_out(body["conversation"]):
        content.refer("an earlier conversation")
    if isinstance(body.get("response"), Mapping):
        _refer_to_earlier(content, body["response"])


def _is_left_out(value: Any) -> bool:
    return type(value).__name__ in ("NotGiven", "Omit")


@lru_cache(maxsize=512)
def _place(path: str) -> tuple[str, bool, tuple[str, ...]]:
    """What a path is called in messages, whether it is about sound alone, and to what pictures it leads elsewhere."""
    route = re.sub(r"\A[a-z+]+://[^/]*", "", path.partition("?")[0], flags=re.IGNORECASE)
    found = _PREFIX.match(route)
    route = (route[found.end() :] if found else route).strip("/")
    words = [word for word in route.split("/") if word in _WORDS]
    elsewhere = tuple(what for pattern, what in _ELSEWHERE_AT if pattern.match(route))
    return ".".join(["openai", *words[:3]] if words else ["openai", "request"]), bool(_SPOKEN.match(route)), elsewhere
