"""The body of a request: read, and made again with what may go out in the places of what came."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from guard import multipart
from guard.integrations.translations.parts import json_object, replaced

__all__ = ["MOST_BYTES", "Body", "read_body"]

MOST_BYTES = 256 * 1024 * 1024
"""What a client is about to send is held in memory up to this size; more is not looked at."""

_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|([^\s;]+))", re.IGNORECASE)
_UNREADABLE = b"\0"
"""Stands for a body that cannot be read: no translation takes it for text or a picture."""


@dataclass(slots=True)
class Body:
    """A body as it came.

    Attributes:
        sent: its bytes.
        raw: the same; of one that cannot be read, what stands for it in translations.
        unread: why it cannot be read, None where it can.
        value: what stands in it: JSON; the fields of a form, each a list; bytes otherwise.
        is_json: whether it is JSON.
        parts: of a form.
    """

    sent: bytes
    raw: bytes = b""
    unread: str | None = None
    value: Any = None
    is_json: bool = False
    parts: list[multipart.Part] = field(default_factory=list)
    _prefix: str | None = None

    def content(self) -> Any:
        """What a translation looks through."""
        return self.raw if self.value is None else self.value

    def mapping(self) -> Mapping[str, Any]:
        """The JSON object; an empty one where it is none, which makes no reference of it known."""
        return self.value if self.is_json and isinstance(self.value, dict) else {}

    def below(self, name: str) -> None:
        """Says that the whole body is the parameter of that name in what is translated."""
        self._prefix = name

    def with_payload(self, payload: Any) -> bytes:
        """The body with these parts in their places; byte for byte as it came where none is another.

        Raises ValueError where they cannot be put there.
        """
        if not isinstance(payload, Mapping) or self.unread is not None:
            return self.sent
        if self._prefix is not None:
            payload = {path[1:]: value for path, value in payload.items()}
        if self.parts:
            return self._form(replaced(self.value, payload))
        if self.is_json and () in payload:
            return self.sent if payload[()] == self.value else json.dumps(payload[()]).encode()
        made = replaced(self.raw, payload)
        if not isinstance(made, (bytes, bytearray)):
            raise ValueError("what may go out does not fit into the request")
        return bytes(made)

    def _form(self, fields: Mapping[str, list[Any]]) -> bytes:
        values = {name: iter(given) for name, given in fields.items()}
        made = []
        for part in self.parts:
            value = next(values[part.name])
            made.append(multipart.Part(part.head, value.encode() if isinstance(value, str) else bytes(value)))
        return self.sent if made == self.parts else multipart.join(made, multipart.boundary_of(self.raw) or b"")


def read_body(raw: bytes, headers: Mapping[str, str], unread: str | None = None) -> Body:
    """The body of a request with these headers (names in lower case). Raises nothing."""
    kind = headers.get("content-type", "").lower()
    unread = unread or _why_unread(raw, kind, headers.get("content-encoding"))
    if unread is not None:
        return Body(raw, _UNREADABLE, unread)
    if kind.startswith("multipart/"):
        return _form(raw, headers["content-type"])
    if "json" in kind or raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        try:
            return Body(raw, raw, value=json_object(raw) if raw else {}, is_json=True)
        except ValueError as error:
            # Lines of JSON are a file; what claims to be JSON and is none is damaged, or two readers differ over it.
            if "json" in kind:
                return Body(raw, _UNREADABLE, f"a body that is no JSON ({error})")
    return Body(raw, raw)


def _why_unread(raw: bytes, kind: str, encoding: str | None) -> str | None:
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        return "a compressed body"
    if "x-www-form-urlencoded" in kind and raw:
        return "a body of encoded fields"
    if "application/grpc" in kind:
        return "a body of gRPC"
    return f"a body of more than {MOST_BYTES >> 20} MiB" if len(raw) > MOST_BYTES else None


def _form(raw: bytes, kind: str) -> Body:
    said = _BOUNDARY.search(kind)
    boundary = (said[1] or said[2]).encode("latin-1", "replace") if said else None
    try:
        if boundary != multipart.boundary_of(raw):
            raise ValueError("its boundary is not the one that its header names")
        parts = multipart.split(raw)
    except ValueError as error:
        return Body(raw, _UNREADABLE, f"a multipart body that cannot be read ({error})")
    fields: dict[str, list[Any]] = {}
    for part in parts:
        fields.setdefault(part.name, []).append(_field(part))
    return Body(raw, raw, value=fields, parts=parts)


def _field(part: multipart.Part) -> Any:
    if part.is_text:
        try:
            return part.content.decode("utf-8")
        except UnicodeDecodeError:
            return part.content
    return part.content
