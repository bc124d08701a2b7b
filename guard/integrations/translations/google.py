"""Google's Gemini and Vertex AI: generation, embedding, picture and video models, files, batches, the Live interface.

A request without picture, video or reference to one is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations.content import Content, operation_of

__all__ = ["translate", "translate_event"]

_METHOD = re.compile(r":([A-Za-z]+)\Z")
_WORDS = frozenset(
    ["files", "interactions", "cachedContents", "batchPredictionJobs", "tuningJobs", "fileSearchStores", "auth_tokens"]
)
_ELSEWHERE: Mapping[str, str] = {
    "importFile": "a stored file",
    "register": "files in a storage bucket",
    "auth_tokens": "a key with which somebody else may send pictures",
}
"""Requests that lead to pictures which do not stand in them."""


def translate(path: str, body: Any, *, service: str = "google") -> Operation | None:
    """The call of a request that sends something (POST, PUT, PATCH).

    Args:
        path: as it stands in the URL, with or without what stands before it:
            ``/v1beta/models/gemini-2.5-flash:generateContent``.
        body: the JSON object, its binary fields as bytes or base64; or the bytes of a file.
        service: what the host counts as.

    The payload maps paths to pictures; `guard.integrations.translations.parts.replaced` puts them back.
    """
    content = Content()
    content.look(body)
    word = _word(path)
    if word in _ELSEWHERE:
        content.refer(_ELSEWHERE[word])
    return operation_of(f"google.{word}", service, content)


def translate_event(event: Any, *, service: str = "google") -> Operation | None:
    """The call of one message of the Live interface, as JSON text, bytes or an object."""
    content = Content()
    event = content.look_into(event)
    setup = event.get("setup") if isinstance(event, Mapping) else None
    setup = setup if isinstance(setup, Mapping) else {}
    resumed = setup.get("sessionResumption") or setup.get("session_resumption")
    if isinstance(resumed, Mapping) and resumed.get("handle"):
        content.refer("an earlier session")
    return operation_of("google.live", service, content)


def _word(path: str) -> str:
    """What the path asks for: a method such as ``generateContent``, or what is made."""
    path = path.partition("?")[0].rstrip("/")
    method = _METHOD.search(path)
    if method:
        return method[1]
    return next((word for word in path.split("/") if word in _WORDS), "request")
