"""Calls of azure-core that tests make, and what is looked for in what arrived."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import BOX
from tests.integrations.deployments import OFFICE

pytest.importorskip("azure.core", reason="needs azure-core")
pytest.importorskip("requests", reason="azure-core's transport")
from azure.core.rest import HttpRequest

__all__ = [
    "CHAT",
    "FACE",
    "FACE_CALLS",
    "HARMLESS_CALLS",
    "NO_APPROVAL",
    "File",
    "assert_face_is_covered",
    "chat",
    "identify",
    "picture_of",
    "send",
    "stream_of",
]

NO_APPROVAL = OFFICE[: OFFICE.index("[[source.evidence]]")]
FACE = "c5c24a82-6845-4031-9d5d-978df9175426"
CHAT = "/openai/deployments/gpt/chat/completions?api-version=2024-10-21"

FACE_CALLS = {
    "identify": ("POST", "/identify", {"faceIds": [FACE], "largePersonGroupId": "staff"}),
    "verify": ("POST", "/verify", {"faceId1": FACE, "faceId2": FACE}),
    "verify a person": ("POST", "/verify", {"faceId": FACE, "personId": "p", "largePersonGroupId": "staff"}),
    "find similar": ("POST", "/findsimilars", {"faceId": FACE, "largeFaceListId": "staff"}),
    "group": ("POST", "/group", {"faceIds": [FACE]}),
    "detect for comparison": ("POST", "/detect?returnFaceId=true", {"url": "https://example.com/a.jpg"}),
    "detect, left to the service": ("POST", "/detect", {"url": "https://example.com/a.jpg"}),
    "person": ("POST", "/largepersongroups/staff/persons", {"name": "somebody"}),
    "person's name": ("PATCH", "/largepersongroups/staff/persons/p", {"name": "somebody"}),
    "face": ("POST", "/largepersongroups/staff/persons/p/persistedfaces", {"url": "https://example.com/a.jpg"}),
    "face of a list": ("POST", "/largefacelists/staff/persistedfaces", {"url": "https://example.com/a.jpg"}),
    "training": ("POST", "/largepersongroups/staff/train", None),
    "members": ("PATCH", "/dynamicpersongroups/staff", {"addPersonIds": ["p"]}),
    "liveness": ("POST", "/detectLivenessWithVerify-sessions", {"livenessOperationMode": "Passive"}),
    "result of liveness": ("GET", "/detectLivenessWithVerify/singleModal/sessions/s", None),
    "not known": ("POST", "/compareEverybody", {"faceIds": [FACE]}),
    "a body that is read": ("GET", "/identify", {"faceIds": [FACE]}),
    "another method on top": ("GET", "/identify?override", None),
    "detour": ("POST", "/./largefacelists/../identify", {"faceIds": [FACE]}),
    "capitals": ("POST", "/IDENTIFY", {"faceIds": [FACE], "largePersonGroupId": "staff"}),
    "escaped": ("POST", "/%69dentify", {"faceIds": [FACE], "largePersonGroupId": "staff"}),
}

HARMLESS_CALLS = [
    ("GET", "/face/v1.2/largepersongroups"),
    ("GET", "/face/v1.2/largepersongroups/staff/persons/p"),
    ("DELETE", "/face/v1.2/largepersongroups/staff/persons/p/persistedfaces/f"),
    ("DELETE", "/face/v1.2/detectLivenessWithVerify-sessions/s"),
    ("PUT", "/face/v1.2/largefacelists/staff"),
    ("GET", "/openai/deployments/gpt"),
    ("POST", "/contentsafety/image:analyze"),
    ("POST", "/some/other/service"),
]


def send(client: Any, method: str, path: str, body: Any = None, **more: Any) -> Any:
    given = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    if path.endswith("?override"):
        more["headers"] = {"X-HTTP-Method-Override": "POST"}
    return client.send_request(HttpRequest(method, client._base_url + path, **given, **more))


def identify(client: Any) -> Any:
    method, path, body = FACE_CALLS["identify"]
    return send(client, method, f"/face/v1.2{path}", body)


def chat(data: bytes, kind: str = "png") -> dict[str, Any]:
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    content = [{"type": "text", "text": "who is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [{"role": "user", "content": content}]}


def picture_of(body: bytes) -> bytes:
    (text,) = re.findall(rb"data:image/[a-z]+;base64,([A-Za-z0-9+/=]+)", body)
    return base64.b64decode(text)


def assert_face_is_covered(data: bytes, picture: np.ndarray) -> None:
    arrived = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    left, top, right, bottom = BOX
    assert arrived.shape == picture.shape
    assert (arrived[top:bottom, left:right] != picture[top:bottom, left:right]).mean() > 0.9
    assert (arrived[-10:, -30:] == picture[-10:, -30:]).all()


def stream_of(data: bytes) -> Iterator[bytes]:
    yield data[:100]
    yield data[100:]


class File:
    def __init__(self, data: bytes) -> None:
        import io

        self._file = io.BytesIO(data)
        self.read, self.seek, self.tell, self.seekable = (
            self._file.read,
            self._file.seek,
            self._file.tell,
            self._file.seekable,
        )
