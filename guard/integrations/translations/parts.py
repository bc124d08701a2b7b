"""The parts of a JSON-like request that can carry pictures: found by where they stand, and put back in a copy.

What is text for the model stays untouched however long it is: only a ``data:image/...`` URL in it counts, and base64
that begins as a picture does. What stands where a picture, a video or a file belongs always counts, in whatever form,
and so does text elsewhere that reads like one. JSON inside of JSON, as a body of bytes or text, is looked into and
written anew only where one of its parts has changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Parts", "Path", "json_object", "replaced", "settled"]

Path = tuple[str | int, ...]
"""Keys and indexes from the request down to a part. A step into bytes or text is a step into the JSON that it holds."""

MAX_DEPTH = 60
MAX_ITEMS = 200_000

_TEXT_KEYS = frozenset(
    [
        "text",
        "texts",
        "prompt",
        "prompts",
        "content",
        "system",
        "query",
        "input",
        "inputtext",
        "instruction",
        "instructions",
        "title",
        "name",
        "id",
        "role",
        "description",
        "caption",
        "negative_prompt",
        "negativetext",
        "negativeprompt",
        "signature",
        "redactedcontent",
    ]
)
_TEXT_CONTAINERS = frozenset(
    [
        "tools",
        "toolconfig",
        "tool_choice",
        "inferenceconfig",
        "guardrailconfig",
        "outputconfig",
        "response_format",
        "requestmetadata",
        "metadata",
        "tooluse",
        "tool_use",
        "server_tool_use",
        "json",
        "searchresult",
        "search_result",
        "web_search_tool_result",
        "citations",
        "citationscontent",
        "reasoningcontent",
        "thinking",
        "redacted_thinking",
        "function",
        "arguments",
        "mcp_servers",
        "stop_sequences",
    ]
)
"""Keys or ``type``s whose text the model reads as text, whatever it looks like."""

_SOUND = frozenset({"audio", "input_audio", "inputaudio"})
_DATA_KEYS = frozenset(
    [
        "bytes",
        "data",
        "image",
        "images",
        "inputimage",
        "image_url",
        "imageurl",
        "init_image",
        "mask_image",
        "maskimage",
        "b64_json",
        "base64",
        "base64string",
        "video",
        "videos",
        "inputvideo",
        "picture",
        "frame",
        "frames",
        "file",
        "files",
        "file_data",
    ]
)
_PICTURES = frozenset({"image", "image_url", "input_image", "video", "video_url", "input_video"})
"""Keys or ``type``s of a part that is a picture: one in which none is found is of a form that is not known."""

_FILE_KEYS = frozenset({"file_id", "fileid", "file_uri", "fileuri", "s3uri", "s3object"})
_DATA_URL = re.compile(r"\s*data:", re.IGNORECASE)
_PICTURE_URL = re.compile(r"data:\s*(?:image|video)/", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]{1,20}://\S", re.IGNORECASE)
_SHORTEST_BASE64 = 256
_BASE64 = re.compile(rf"[A-Za-z0-9+/_\-\s]{{{_SHORTEST_BASE64},}}={{0,2}}\s*\Z")
_BASE64_PICTURE = re.compile(r"\s*(?:iVBORw0K|/9j/|UklGR|R0lGOD|SUkq|TU0A|GkXf|AAAA[A-Za-z0-9+/]{2}Zn)")
"""How PNG, JPEG, WebP, GIF, TIFF, Matroska and MP4 begin in base64."""

_PLAIN_FORMATS = frozenset({"txt", "csv", "md", "text/plain", "text/csv", "text/markdown"})


@dataclass(slots=True)
class Parts:
    """What was found in a request.

    Attributes:
        found: what can be looked at, by its path: bytes, base64 text, data URLs.
        opaque: what is only referred to, or cannot be read, in words.
    """

    found: dict[Path, Any] = field(default_factory=dict)
    opaque: list[str] = field(default_factory=list)
    _left: int = MAX_ITEMS
    _seen: int = 0

    def __bool__(self) -> bool:
        return bool(self.found or self.opaque)

    def look(self, node: Any, path: Path = (), *, as_text: bool = False) -> None:
        """Looks through a request, or a piece of it that stands at `path`."""
        self._left -= 1
        if len(path) > MAX_DEPTH or self._left < 0:
            self.refer("a request nested or numbered beyond the bounds")
        elif isinstance(node, Mapping):
            self._mapping(node, path, as_text)
        elif isinstance(node, (list, tuple)):
            for number, item in enumerate(node):
                self.look(item, (*path, number), as_text=as_text)
        elif isinstance(node, str):
            self._text(node, path, as_text)
        elif isinstance(node, (bytes, bytearray, memoryview)) and node and _key(path) != "redactedcontent":
            self._find(path, node)

    def look_into(self, body: Any, path: Path = ()) -> None:
        """Looks through a body of bytes or text that holds JSON; what cannot be read as one counts as unknown."""
        try:
            self.look(json_object(body), path)
        except ValueError as error:
            self.refer(f"a body that cannot be read ({error})")

    def refer(self, what: str) -> None:
        """Notes something that cannot be looked at here."""
        self._seen += 1
        if what not in self.opaque:
            self.opaque.append(what)

    def _find(self, path: Path, part: Any) -> None:
        self._seen += 1
        self.found[path] = part

    def _mapping(self, node: Mapping[Any, Any], path: Path, as_text: bool) -> None:
        kind = str(node.get("type", "")).casefold()
        if kind in _SOUND or self._is_plain_document(node):
            return
        as_text = as_text or kind in _TEXT_CONTAINERS or kind == "text"
        before = self._seen
        for key, value in node.items():
            name = str(key).casefold()
            if name in _SOUND:
                continue
            if name in _FILE_KEYS and value and not as_text:
                self.refer("a stored file")
            else:
                inner = self._seen
                self.look(value, (*path, key), as_text=as_text or name in _TEXT_CONTAINERS)
                if name in _PICTURES and value and inner == self._seen and not as_text:
                    self.refer("a picture of a form that is not known")
        if kind in _PICTURES and before == self._seen and not as_text:
            self.refer("a picture of a form that is not known")

    def _is_plain_document(self, node: Mapping[Any, Any]) -> bool:
        """Whether it is a document whose bytes are text, and read as that."""
        source = node.get("source")
        if not isinstance(source, Mapping) or str(node.get("format", "")).casefold() not in _PLAIN_FORMATS:
            return False
        data = source.get("bytes")
        if not isinstance(data, (bytes, bytearray)):
            return False
        try:
            return not _PICTURE_URL.search(bytes(data).decode())
        except UnicodeDecodeError:
            return False

    def _text(self, text: str, path: Path, as_text: bool) -> None:
        key = _key(path)
        if not text:
            return
        if as_text or key in _TEXT_KEYS:
            if _PICTURE_URL.match(text.lstrip()) or (_BASE64_PICTURE.match(text) and _BASE64.match(text)):
                self._find(path, text)
            elif _PICTURE_URL.search(text):
                self.refer("a data URL inside of text")
        elif ":" in text and _DATA_URL.match(text):
            self._find(path, text)
        elif ":" in text and _ADDRESS.match(text):
            self.refer("something at an address")
        elif key in _FILE_KEYS:
            self.refer("a stored file")
        elif key in _DATA_KEYS or (len(text) >= _SHORTEST_BASE64 and _BASE64.match(text)):
            self._find(path, text)


def _key(path: Path) -> str:
    """The name under which the part stands, without regard to lists on the way."""
    for step in reversed(path):
        if isinstance(step, str):
            return step.casefold()
    return ""


def json_object(body: Any) -> Any:
    """The JSON that bytes or text hold. Raises `ValueError` for what is none, and where a key is given twice.

    Of a key that is given twice one reader takes the first and another the last: what was judged would not be what is
    read.
    """
    if isinstance(body, (bytearray, memoryview)):
        body = bytes(body)
    if not isinstance(body, (str, bytes)):
        raise ValueError(f"a {type(body).__name__} is no JSON text")
    try:
        return _DECODER.decode(body if isinstance(body, str) else body.decode(_encoding_of(body), "surrogatepass"))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _encoding_of(body: bytes) -> str:
    return "utf-8" if body[:1] in _BEGINNINGS and 0 not in body[1:4] else json.detect_encoding(body)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is given twice")
    return made


_BEGINNINGS = (b"{", b"[")
_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def settled(request: Any) -> Any:
    """The request in containers of its own: what another thread does to the caller's does not reach it.

    A stream is read, and put back to where it stood if it can be. Raises `ValueError` for one that gives no bytes or
    text.
    """
    if isinstance(request, (str, bytes, int, float, type(None))):
        return request
    if isinstance(request, (dict, Mapping)):
        return {key: settled(value) for key, value in request.items()}
    if isinstance(request, (list, tuple)):
        return [settled(value) for value in request]
    if isinstance(request, bytearray):
        return bytes(request)
    if hasattr(request, "read"):
        return _contents(request)
    return request


def _contents(stream: Any) -> bytes | str:
    can_go_back = bool(getattr(stream, "seekable", bool)())
    start = stream.tell() if can_go_back else 0
    contents = stream.read()
    if can_go_back:
        stream.seek(start)
    if not isinstance(contents, (bytes, str)):
        raise ValueError(f"a stream of {type(contents).__name__}")
    return contents


def replaced(request: Any, payload: Mapping[Path, Any]) -> Any:
    """The request with these parts in their places. What lies on the way is copied, the rest is shared."""
    if not payload:
        return request
    if () in payload:
        return payload[()]
    if isinstance(request, (bytes, bytearray, memoryview, str)):
        return _replaced_in_json(request, payload)
    below: dict[Any, dict[Path, Any]] = {}
    for path, value in payload.items():
        below.setdefault(path[0], {})[path[1:]] = value
    if isinstance(request, Mapping):
        return {key: replaced(value, below[key]) if key in below else value for key, value in request.items()}
    return [replaced(value, below[number]) if number in below else value for number, value in enumerate(request)]


def _replaced_in_json(body: Any, payload: Mapping[Path, Any]) -> Any:
    try:
        inner = json_object(body)
    except ValueError:
        return _replaced_in_lines(body, payload)
    if all(_at(inner, path) == value for path, value in payload.items()):
        return body
    text = json.dumps(replaced(inner, payload), ensure_ascii=False, separators=(",", ":"))
    return text if isinstance(body, str) else text.encode()


def _replaced_in_lines(body: Any, payload: Mapping[Path, Any]) -> Any:
    """JSON lines, as in a batch file: the first step of a path is the line's number."""
    end: Any = "\n" if isinstance(body, str) else b"\n"
    lines = (body if isinstance(body, str) else bytes(body)).split(end)
    below: dict[Any, dict[Path, Any]] = {}
    for path, value in payload.items():
        below.setdefault(path[0], {})[path[1:]] = value
    for number, inner in below.items():
        lines[number] = _replaced_in_json(lines[number], inner)
    return end.join(lines)


def _at(node: Any, path: Path) -> Any:
    for step in path:
        if isinstance(node, (bytes, bytearray, memoryview, str)):
            node = json_object(node)
        node = node[step]
    return node
