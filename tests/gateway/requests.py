"""Requests as the services' own clients send them."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

AMAZON = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "RekognitionService.SearchFacesByImage"}
DETECT = {**AMAZON, "x-amz-target": "RekognitionService.DetectFaces"}
LABELS = {**AMAZON, "x-amz-target": "RekognitionService.DetectLabels"}
IDENTIFY = "/face/v1.0/identify"
CHAT = "/v1/chat/completions"


def picture() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(7).integers(1, 255, (120, 160, 3), dtype=np.uint8)


def png(pixels: Any = None) -> bytes:
    return bytes(cv2.imencode(".png", picture() if pixels is None else pixels)[1])


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def search() -> dict[str, Any]:
    return {"CollectionId": "staff", "Image": {"Bytes": base64_of(png())}}


def identify() -> dict[str, Any]:
    return {"faceIds": ["c5c24a82-6845-4031-9d5d-978df9175426"], "largePersonGroupId": "staff"}


def chat(url: str | None = None) -> dict[str, Any]:
    url = url or f"data:image/png;base64,{base64_of(png())}"
    content = [{"type": "text", "text": "what is here?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


def sent_pixels(body: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The picture in a chat request that arrived."""
    url = body["messages"][0]["content"][1]["image_url"]["url"]
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
