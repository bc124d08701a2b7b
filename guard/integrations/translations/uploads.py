"""What an uploaded file holds: a picture or video, JSON or lines of it, plain text, or what cannot be looked at."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from guard.integrations.translations.parts import Path, json_object

__all__ = ["can_be_seen", "documents_in"]

_WRAPPED_TEXT = re.compile(rb"(?:[A-Za-z0-9+/]{60,}={0,2}\s){4}|[A-Za-z0-9+/_-]{1024}")
"""Base64 over several lines, or long in one."""

_NOT_READ = {b"%PDF": "a PDF", b"%!PS": "PostScript", b"{\\rtf": "rich text"}


def can_be_seen(value: Any) -> bool:
    """Whether bytes, or base64 text, begin as a picture or a video that is looked at, whatever else is said of them."""
    if isinstance(value, str):
        try:
            value = base64.b64decode(value.strip()[:32].replace("-", "+").replace("_", "/"))
        except (binascii.Error, ValueError):
            return False
    head = bytes(value[:12]) if isinstance(value, (bytes, bytearray, memoryview)) else b""
    return (
        head[:3] == b"\xff\xd8\xff"
        or head[:8] == b"\x89PNG\r\n\x1a\n"
        or (head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"AVI "))
        or head[:4] == b"\x1a\x45\xdf\xa3"
        or (head[:1] == b"\0" and head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"))
    )


def documents_in(data: bytes) -> list[tuple[Path, Any]]:
    """The JSON values in a file, each with the path to it: none where it is plain text without a picture.

    Raises `ValueError`, saying what it is, for what is neither JSON nor plain text, and for text that holds pictures.
    """
    for start, name in _NOT_READ.items():
        if data.lstrip()[: len(start)] == start:
            raise ValueError(name)
    lines = _json_in(data)
    if lines is not None:
        return lines
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is no picture that can be read, and no text") from None
    if "\0" in text:
        raise ValueError("it is no picture that can be read, and no text")
    lowered = text.lower()
    if "data:image/" in lowered or "data:video/" in lowered or _WRAPPED_TEXT.search(data):
        raise ValueError("text with a picture in it")
    return []


def _json_in(data: bytes) -> list[tuple[Path, Any]] | None:
    """One JSON document, or one a line; None where it is no such file. Raises `ValueError` where readers may differ."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return None
    try:
        return [((), json_object(data))]
    except json.JSONDecodeError:
        pass
    found: list[tuple[Path, Any]] = []
    for number, line in enumerate(data.split(b"\n")):
        if not line.strip():
            continue
        try:
            document = json_object(line)
        except json.JSONDecodeError:
            return None
        if not isinstance(document, (dict, list)):
            return None
        found.append(((number,), document))
    return found
