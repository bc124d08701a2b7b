"""Clients of the openai library that speak to a service of ours, and what is asked of it."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.integrations.llm import PNG_URL
from tests.integrations.loopback import Answer, Arrived

__all__ = ["COMPLETION", "HTTPS", "answer", "azure", "clients", "inputs", "messages", "plain"]

COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a street"}}],
}


def answer(request: Arrived) -> Answer:
    if b'"stream":true' in request.body.replace(b" ", b""):
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
        lines = f"data: {json.dumps(chunk)}\n\n" * 2 + "data: [DONE]\n\n"
        return Answer(lines.encode(), headers={"Content-Type": "text/event-stream"})
    if request.path.endswith("/chat/completions"):
        return Answer(COMPLETION)
    return Answer({"id": "x", "object": "thing", "data": [], "output": [], "created": 1})


clients: list[Any] = []


def azure(server: Any, kind: Any = None, **options: Any) -> Any:
    return remembered(
        (kind or sys.modules["openai"].AzureOpenAI),
        azure_endpoint=server.url,
        api_version="v",
        azure_deployment="d",
        **options,
    )


def plain(server: Any, kind: Any = None, **options: Any) -> Any:
    return remembered(kind or sys.modules["openai"].OpenAI, base_url=server.url + "/v1", **options)


def remembered(kind: Any, **options: Any) -> Any:
    client = kind(api_key="k", **options)
    if isinstance(client, sys.modules["openai"].OpenAI):
        clients.append(client)
    return client


def messages(url: str = PNG_URL) -> list[dict[str, Any]]:
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what happens here?"},
                {"type": "image_url", "image_url": {"url": url}},
            ],
        }
    ]


def inputs(**picture: Any) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": [{"type": "input_image", "detail": "low", **(picture or {"image_url": PNG_URL})}]}
    ]


HTTPS = "https://pictures.example/one.jpg"
