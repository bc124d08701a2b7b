"""Azure's services that look at pictures and documents and are no Face and no model: each is judged by what it shows.

Image analysis describes people, and a caption may name them; so a call names no action, as one to a vision-language
model does. A request without a picture or an address of one is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations import azure_persons
from guard.integrations.translations.parts import Path

__all__ = ["is_area", "translate"]

SERVICE = "microsoft_ai"

_AREAS = ("vision", "computervision", "customvision", "contentunderstanding", "documentintelligence", "formrecognizer")
_ADDRESSES = frozenset({"url", "urlsource", "imageurl", "videourl", "documenturl", "azureblobsource", "video"})
_CONTENTS = frozenset({"base64source", "data", "image", "content"})


def is_area(path: str) -> bool:
    """Whether a path is one of these services'."""
    return path.lstrip("/").partition("/")[0].lower() in _AREAS


def translate(path: str, body: Mapping[str, Any] | bytes, *, service: str = SERVICE) -> Operation | None:
    """The call of a request that sends something.

    Args:
        path: of the address, e.g. ``/computervision/imageanalysis:analyze``.
        body: the picture's bytes, or the JSON object.
        service: what the host counts as.
    """
    found: dict[Path, Any] = {}
    opaque: list[str] = []
    person = azure_persons.translate(path, body) if body else None
    if person is not None:
        person.service = service
        return person
    if isinstance(body, Mapping):
        _look(body, (), found, opaque)
    elif body:
        found[()] = body
    if not found and not opaque:
        return None
    name = path.strip("/").partition("/")[0].lower()
    return Operation(f"azure.{name}", service, (None,), found, sorted(set(opaque)))


def _look(node: Any, path: Path, found: dict[Path, Any], opaque: list[str]) -> None:
    for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
        name = str(key).replace("_", "").lower()
        if name in _ADDRESSES and value:
            opaque.append("a picture at an address")
        elif name in _CONTENTS and isinstance(value, str) and value:
            found[(*path, key)] = value
        elif isinstance(value, (Mapping, list)):
            _look(value, (*path, key), found, opaque)
