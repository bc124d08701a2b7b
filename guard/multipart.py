"""Multipart bodies (RFC 2046 section 5.1, RFC 7578): several files and fields in one request.

Only a body that comes out the same, byte for byte, when its parts are put together again is read: what two readers
could take apart differently cannot be judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Part", "boundary_of", "join", "split"]

MAX_PARTS = 1000
_MAX_HEAD = 8192

_FIRST_LINE = re.compile(rb"--([!-~](?:[ -~]{0,68}[!-~])?)\r\n")
_PARAMETER = re.compile(rb";[ \t]*([\w*-]+)=(\"(?:[^\"\\\r\n]|\\.)*\"|[^\s;\"]+)")
_ENCODED = re.compile(
    rb"^content-(?:transfer-)?encoding[ \t]*:(?![ \t]*(?:identity|binary|8bit|7bit)[ \t]*$)", re.I | re.M
)
_TYPE = re.compile(rb"^content-type[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_DISPOSITION = re.compile(rb"^content-disposition[ \t]*:.*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its header lines as they came, and its content.

    Attributes:
        head: the header lines without the empty line after them.
        content: the bytes of the file or field.
    """

    head: bytes
    content: bytes

    @property
    def name(self) -> str:
        """The field's name, empty where it has none."""
        return self._parameters.get(b"name", b"").decode("utf-8", "replace")

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON."""
        return b"json" in self._type

    @property
    def is_text(self) -> bool:
        """Whether it is a plain field: it says that it is text, or neither a type nor a file name."""
        return self._type.startswith(b"text/plain") or (not self._type and b"filename" not in self._parameters)

    @property
    def _parameters(self) -> dict[bytes, bytes]:
        line = _DISPOSITION.search(self.head)
        found = _PARAMETER.finditer(line[0]) if line else ()
        return {match[1].lower().rstrip(b"*"): match[2].strip(b'"') for match in found}

    @property
    def _type(self) -> bytes:
        found = _TYPE.search(self.head)
        return found[1].strip().lower() if found else b""


def boundary_of(body: bytes) -> bytes | None:
    """The boundary by the body's first line; None where it does not begin like a multipart body."""
    found = _FIRST_LINE.match(body)
    return found[1] if found else None


def split(body: bytes) -> list[Part]:
    """The parts. Raises ValueError where they cannot be told apart beyond doubt, or are more than `MAX_PARTS`."""
    boundary = boundary_of(body)
    if boundary is None:
        raise ValueError("it does not begin with a boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) - 2 > MAX_PARTS:
        raise ValueError(f"it has more than {MAX_PARTS} parts")
    if pieces[-1] not in (b"--", b"--\r\n"):
        raise ValueError("it does not end with its boundary")
    parts = []
    for piece in pieces[1:-1]:
        head, gap, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not piece.startswith(b"\r\n") or not gap or len(head) > _MAX_HEAD or b"\n" in head.replace(b"\r\n", b""):
            raise ValueError("the head of a part is damaged")
        if _ENCODED.search(head):
            raise ValueError("a part is encoded")
        parts.append(Part(head, content))
    if not parts or join(parts, boundary) != body.removesuffix(b"\r\n") + b"\r\n":
        raise ValueError("it cannot be put together again as it came")
    return parts


def join(parts: Sequence[Part], boundary: bytes) -> bytes:
    """The body of these parts. Raises ValueError where a part contains the boundary."""
    line = b"--" + boundary
    if any(line in part.content for part in parts):
        raise ValueError("a part contains the boundary")
    return (
        b"".join(line + b"\r\n" + part.head + b"\r\n\r\n" + part.content + b"\r\n" for part in parts) + line + b"--\r\n"
    )
