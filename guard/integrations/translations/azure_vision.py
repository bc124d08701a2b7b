"""Azure AI Vision (Computer Vision): what an analysis of a picture asks for.

Celebrities are recognised: ``identify``. Captions and descriptions, embeddings, custom models and whatever is not known
here are a vision-language call that names no action. The faces of the older versions were given with age and gender.
Tags, objects, text, colours, crops, thumbnails and the boxes of people describe no person and name nobody: None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations.paths import normal

__all__ = ["is_at", "translate"]

SERVICE = "microsoft_ai"

_ROOT = re.compile(r"/(?:computervision|vision/v\d[^/]*)/(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

_NEUTRAL = frozenset(
    ["adult", "brands", "categories", "color", "imagetype", "objects", "people", "read", "smartcrops", "tags"]
)
"""Features of an analysis that describe no person."""

_NEUTRAL_PATHS = re.compile(
    r"(?:areaofinterest|detect|generatethumbnail|ocr|read/analyze|tag|models/landmarks/analyze|retrieval:vectorizetext)/?\Z"
)
_CELEBRITIES = re.compile(r"models/celebrities/analyze/?\Z")
_ANALYSIS = re.compile(r"(?:imageanalysis:)?analyze/?\Z")


def is_at(path: str) -> bool:
    """Whether a path is of this interface, before it a gateway's prefix or none."""
    return _ROOT.search(normal(path)) is not None


def translate(
    method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | bytes | None
) -> Operation | None:
    """The call of a request to Azure AI Vision; None, too, for a path of another interface.

    Args:
        method: of HTTP.
        path: of the address, e.g. ``/computervision/imageanalysis:analyze``.
        query: as `guard.integrations.translations.azure_face.query_of` gives it.
        body: the picture's bytes, or JSON as a mapping.
    """
    found = _ROOT.search(normal(path))
    if found is None or method.upper() in _READING:
        return None
    rest = found["rest"].casefold()
    query = {name.casefold(): value for name, value in query.items()}
    if _NEUTRAL_PATHS.match(rest):
        return None
    if _CELEBRITIES.match(rest):
        return _operation("celebrities", ("identify",), (), body)
    if _ANALYSIS.match(rest):
        return _analysis(query, body)
    return _operation("request", (None,), (), body)


def _analysis(query: Mapping[str, str], body: Mapping[str, Any] | bytes | None) -> Operation | None:
    asked = _listed(query, "features") | _listed(query, "visualfeatures")
    faces = "faces" in asked
    also = ("attributes", "categorise") if faces else ()
    if _listed(query, "details") - {"landmarks"}:
        return _operation("analyze", ("identify",), also, body)
    if query.get("model-name") or asked - _NEUTRAL - {"faces"}:
        return _operation("analyze", (None,), also, body)
    return _operation("analyze", ("detect",), also, body) if faces else None


def _listed(query: Mapping[str, str], name: str) -> set[str]:
    return {item.strip().casefold() for item in query.get(name, "").split(",") if item.strip()}


def _operation(
    name: str, actions: tuple[str | None, ...], also: tuple[str, ...], body: Mapping[str, Any] | bytes | None
) -> Operation | None:
    payload: dict[Any, Any] = {}
    opaque = []
    if isinstance(body, (bytes, bytearray)) and body:
        payload = {(): bytes(body)}
    elif isinstance(body, Mapping) and body:
        opaque = ["a picture at an address" if "url" in {str(key).casefold() for key in body} else "what is named"]
    return Operation(f"azure_vision.{name}", SERVICE, actions, payload, opaque, also)
