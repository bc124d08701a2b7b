"""The pictures in what a vision-language model is given, found by the roles that its fields have.

One reader for the shapes of OpenAI, Anthropic and Google, since each of their clients may talk to a server that speaks
another's. What stands where a picture, a video or a file belongs always counts. Text for the model, arguments of its
tools and schemas count only where a ``data:image/...`` or ``data:video/...`` URL stands in them. What is only named (an
address, a file id, an earlier response) cannot be looked at.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from guard.facts import VLM_SERVICES
from guard.integrations.operation import Operation
from guard.integrations.translations.parts import Path, json_object
from guard.integrations.translations.uploads import can_be_seen, documents_in

__all__ = ["Content", "operation_of"]

MAX_DEPTH = 60
MAX_ITEMS = 200_000

_ADDRESSES = frozenset(
    ["imageurl", "imageurls", "videourl", "fileurl", "thumbnailurl", "gcsuri", "fileuri", "videouri"]
)
"""Fields that hold an address or a data URL of a picture, a video or a file, alone, in a list, or under ``url``."""

_ENCODED = frozenset(
    ["filedata", "bytesbase64encoded", "imagebytes", "videobytes", "encodedvideo", "b64json", "partialimageb64"]
)
"""Fields that hold base64 or bytes."""

_PICTURES = frozenset(
    ["image", "images", "mask", "video", "videos", "screenshot", "inputreference", "firstframe", "lastframe", "frames"]
)
"""Fields that hold a picture in one way or another, or the name of something else: only what reads like one counts."""

_REFERENCES: Mapping[str, str] = {
    "fileid": "a stored file",
    "fileids": "a stored file",
    "inputfileid": "a stored file",
    "trainingfile": "a stored file",
    "validationfile": "a stored file",
    "previousresponseid": "an earlier response",
    "previousinteractionid": "an earlier response",
    "cachedcontent": "cached content",
    "gcssource": "files in a storage bucket",
    "bigquerysource": "a table elsewhere",
    "trainingdataseturi": "files in a storage bucket",
    "validationdataseturi": "files in a storage bucket",
}
"""Fields that name something that the service has, or fetches."""

_REFERENCE_TYPES: Mapping[str, str] = {
    "item_reference": "an earlier item",
    "compaction": "an earlier response",
    "container_upload": "a stored file",
}
_PICTURE_TYPES = frozenset(
    [
        "image",
        "image_url",
        "input_image",
        "image_file",
        "computer_screenshot",
        "video",
        "video_url",
        "input_video",
        "image_generation_call",
    ]
)
"""The ``type`` of a part that is a picture or a video: one in which none is found is of a form that is not known."""

_SOUND = frozenset(["audio", "inputaudio"])
_FOR_TOOLS = frozenset(
    [
        "arguments",
        "args",
        "inputschema",
        "jsonschema",
        "schema",
        "responseschema",
        "responsejsonschema",
        "metadata",
        "labels",
        "annotations",
        "citations",
        "action",
        "actions",
        "responseformat",
        "textformat",
        "textconfig",
        "groundingmetadata",
    ]
)
"""Fields whose insides the model reads as text, or nobody reads: names in them mean nothing here."""

_TELLING = frozenset(
    {*_ADDRESSES, *_ENCODED, *_PICTURES, *_REFERENCES, *_SOUND, "filename", "data", "url", "uri", "result"}
)
"""Fields whose text may be something else than words."""

_BEYOND = "a request nested or numbered beyond the bounds"

_TOOL_CALLS = frozenset(["tool_use", "server_tool_use", "mcp_tool_use"])
_DATA_URL = re.compile(r"\s*data:", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]{1,20}://\S", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]{256,}={0,2}\s*\Z")
"""As `guard.pictures` recognises base64 text: what it would take for words cannot be looked at."""

_HARMLESS = (type(None), bool, int, float, enum.Enum, date, datetime)
_LEFT_OUT = frozenset({"NotGiven", "Omit"})
_PLAIN: dict[str, str] = {}


@dataclass(slots=True)
class Content:
    """What was found in a request.

    Attributes:
        found: what can be looked at, by its path: bytes, base64 text, data URLs.
        opaque: what is only referred to, or cannot be read, in words.
    """

    found: dict[Path, Any] = field(default_factory=dict)
    opaque: list[str] = field(default_factory=list)
    _left: int = MAX_ITEMS

    def __bool__(self) -> bool:
        return bool(self.found or self.opaque)

    def refer(self, what: str) -> None:
        """Notes something that cannot be looked at here."""
        if what not in self.opaque:
            self.opaque.append(what)

    def look_into(self, message: Any) -> Any:
        """Looks through a message that may be JSON text, and gives what it holds."""
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            try:
                message = json_object(message)
            except json.JSONDecodeError:
                self.refer("a message that is no JSON")
            except ValueError as error:
                self.refer(f"a message that cannot be read ({error})")
        self.look(message)
        return message

    def look(self, node: Any, path: Path = (), *, role: str = "", as_text: bool = False) -> None:
        """Looks through a request, or a piece of it.

        Args:
            node: JSON-like data; bytes in it are files, as in a multipart body.
            path: where it stands.
            role: the field that holds it, as `_plain` writes it.
            as_text: whether the names of the fields inside mean nothing.
        """
        self._left -= 1
        if len(path) > MAX_DEPTH or self._left < 0:
            self.refer(_BEYOND)
        elif isinstance(node, str):
            self._text(node, path, "" if as_text else role)
        elif isinstance(node, dict):  # before `Mapping`, which takes far longer to ask
            self._mapping(node, path, role, as_text)
        elif isinstance(node, (list, tuple)):
            for number, item in enumerate(node):
                self.look(item, (*path, number), role=role, as_text=as_text)
        elif isinstance(node, _HARMLESS):
            return
        elif isinstance(node, Mapping):
            self._mapping(node, path, role, as_text)
        elif isinstance(node, (bytes, bytearray, memoryview)):
            self._file(bytes(node), path)
        elif type(node).__name__ not in _LEFT_OUT:
            self.refer(f"a {type(node).__module__}.{type(node).__qualname__}")

    def _mapping(self, node: Mapping[Any, Any], path: Path, role: str, as_text: bool) -> None:
        before = len(self.found), len(self.opaque)
        kind = node.get("type")
        kind = kind if isinstance(kind, str) else ""
        if not as_text and kind in _REFERENCE_TYPES:
            self.refer(_REFERENCE_TYPES[kind])
        for key, value in node.items():
            name = _PLAIN.get(key) or _plain(key)
            if type(value) is str and (as_text or name in _FOR_TOOLS or name not in _TELLING):
                self._left -= 1
                if len(path) >= MAX_DEPTH or self._left < 0:
                    self.refer(_BEYOND)
                elif ":" in value:
                    self._words(value, (*path, key))
                continue
            where = (*path, key)
            if as_text or name in _FOR_TOOLS or _is_for_tools(name, node, kind, role):
                self.look(value, where, as_text=True)
            elif name in _REFERENCES or (name == "filename" and role == "inputconfig"):
                if value:
                    self.refer(_REFERENCES.get(name, "a stored file"))
            elif name == "data" and _is_typed(node, kind):
                self._data(value, where, _media_type(node), kind)
            elif name in ("url", "uri") and _is_address(node, kind, role):
                self.look(value, where, role="imageurl")
            elif name == "result" and kind == "image_generation_call":
                self.look(value, where, role="filedata")
            elif name not in _SOUND or not isinstance(value, Mapping):
                self.look(value, where, role=name)
        is_known = kind not in _PICTURE_TYPES or (len(self.found), len(self.opaque)) != before or self.opaque
        if not as_text and not is_known:
            self.refer("a picture of an unknown form")

    def _data(self, value: Any, path: Path, media_type: str, kind: str) -> None:
        """Base64 or bytes beside what they are said to be."""
        if kind == "text" or (media_type.startswith(("audio/", "text/")) and not can_be_seen(value)):
            self.look(value, path, as_text=True) if isinstance(value, str) else None
        elif isinstance(value, (bytes, bytearray, memoryview)):
            self.found[path] = bytes(value)
        else:
            self.look(value, path, role="filedata")

    def _text(self, text: str, path: Path, role: str) -> None:
        if role in _ADDRESSES:
            if _DATA_URL.match(text):
                self.found[path] = text
            else:
                self.refer("something at an address")
        elif role in _ENCODED:
            self._encoded(text, path)
        elif role in _REFERENCES:
            self.refer(_REFERENCES[role])
        elif role in _PICTURES and _ADDRESS.match(text):
            self.refer("something at an address")
        elif role in _PICTURES and (_DATA_URL.match(text) or _BASE64.match(text)):
            self.found[path] = text
        else:
            self._words(text, path)

    def _encoded(self, text: str, path: Path) -> None:
        if _DATA_URL.match(text) or _BASE64.match(text):
            self.found[path] = text
        elif text:
            self.refer("text that is no base64, or too short to hold a picture")

    def _words(self, text: str, path: Path) -> None:
        lowered = text.lower() if ":" in text else ""
        if "data:image/" not in lowered and "data:video/" not in lowered:
            return
        if lowered.lstrip().startswith(("data:image/", "data:video/")):
            self.found[path] = text
        else:
            self.refer("a data URL inside of text")

    def _file(self, data: bytes, path: Path) -> None:
        """A whole file: a picture or video, JSON or lines of it, text, or something that cannot be looked at."""
        if can_be_seen(data):
            self.found[path] = data
            return
        try:
            documents = documents_in(data)
        except ValueError as error:
            self.refer(f"a file that cannot be looked at ({error})")
            return
        for step, document in documents:
            self.look(document, (*path, *step))


def operation_of(name: str, service: str, content: Content) -> Operation | None:
    """The call that carries that content; None where there is nothing to see in it.

    Towards a vision-language service it names no action, elsewhere it is a ``vlm_describe``.
    """
    if not content:
        return None
    action = None if service in VLM_SERVICES else "vlm_describe"
    return Operation(name, service, (action,), content.found, content.opaque)


def _plain(key: Any) -> str:
    """A field's name without regard to its spelling: ``inline_data`` and ``inlineData`` are one."""
    key = str(key)
    plain = _PLAIN.get(key)
    if plain is None:
        plain = key.replace("_", "").lower()
        if len(_PLAIN) < 4096:
            _PLAIN[key] = plain
    return plain


def _is_for_tools(name: str, node: Mapping[Any, Any], kind: str, role: str) -> bool:
    return (
        (name == "input" and kind in _TOOL_CALLS)
        or (name == "response" and role == "functionresponse")
        or (name == "parameters" and "name" in node)  # of a function; those of a prediction are no text
    )


def _media_type(node: Mapping[Any, Any]) -> str:
    for name in ("mime_type", "mimeType", "media_type", "mediaType"):
        if isinstance(node.get(name), str):
            return str(node[name]).strip().lower()
    return ""


def _is_typed(node: Mapping[Any, Any], kind: str) -> bool:
    return bool(_media_type(node)) or kind == "base64" or kind in _PICTURE_TYPES or kind == "text"


def _is_address(node: Mapping[Any, Any], kind: str, role: str) -> bool:
    return (
        role in _ADDRESSES
        or role in _PICTURES
        or kind in _PICTURE_TYPES
        or (role == "source" and kind == "url")
        or bool(_media_type(node))
    )
