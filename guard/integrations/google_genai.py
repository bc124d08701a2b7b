"""The `google-genai` library: requests of all its transports, uploads, interactions, and the Live interface.

Requests are judged where they are complete and not yet handed to one of the transports (httpx, httpx2, requests,
aiohttp), above the retries. The generated client for interactions has a way out of its own.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from guard.integrations.google_live import live_hooks_in, music_hooks_in
from guard.integrations.google_uploads import FILES, uploads_in
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.hosts import service_at
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import as_native
from guard.integrations.stainless import CODE, Dialect, hooks_in
from guard.integrations.translations.google import translate
from guard.integrations.translations.parts import replaced, settled

__all__ = ["ADAPTER", "refuse"]


def refuse(error: Any) -> Exception:
    """The refusal as the library's own error for a 403."""
    details = {"code": 403, "status": "PERMISSION_DENIED", "message": str(error), "details": [{"reason": CODE}]}
    return as_native(
        error,
        sys.modules["google.genai.errors"].ClientError,
        {
            "code": 403,
            "status": "PERMISSION_DENIED",
            "message": details["message"],
            "details": {"error": details},
            "response": None,
        },
    )


# ---- requests of the library's own client


def _request(original: Callable[..., Any]) -> Callable[..., Any]:
    def request(self: Any, http_request: Any, *args: Any, **kwargs: Any) -> Any:
        data, operation = _read(http_request)
        if operation is None:
            return original(self, http_request, *args, **kwargs)
        with passage(operation, refuse) as payload:
            return original(self, dataclasses.replace(http_request, data=replaced(data, payload)), *args, **kwargs)

    return request


def _request_later(original: Callable[..., Any]) -> Callable[..., Any]:
    async def request(self: Any, http_request: Any, *args: Any, **kwargs: Any) -> Any:
        data, operation = _read(http_request)
        if operation is None:
            return await original(self, http_request, *args, **kwargs)
        async with passage_async(operation, refuse) as payload:
            sent = dataclasses.replace(http_request, data=replaced(data, payload))
            return await original(self, sent, *args, **kwargs)

    return request


def _read(http_request: Any) -> tuple[Any, Operation | None]:
    """The body in containers of its own, and what the request is in the guard's terms."""
    if http_request.method.lower() == "get" and not http_request.data:
        return None, None
    url = urlsplit(http_request.url)
    service = service_at(http_request.url, "google")
    try:
        data = settled(http_request.data)
        return data, translate(url.path, data, service=service)
    except Exception as error:  # noqa: BLE001 - what cannot be read is refused by the guard, and recorded
        return None, _unread(error, service)


def _unread(error: Exception, service: str) -> Operation:
    why = f"the request cannot be read: {type(error).__name__}: {error}"
    return Operation("google.request", service, (None,), broken=why)


# ---- requests of the generated client


def _do_request(original: Callable[..., Any]) -> Callable[..., Any]:
    def do_request(self: Any, hook_ctx: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        content, operation = _read_built(request)
        if operation is None:
            return original(self, hook_ctx, request, *args, **kwargs)
        with passage(operation, refuse) as payload:
            return original(self, hook_ctx, _rebuilt(request, content, payload), *args, **kwargs)

    return do_request


def _do_request_later(original: Callable[..., Any]) -> Callable[..., Any]:
    async def do_request(self: Any, hook_ctx: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        content, operation = _read_built(request)
        if operation is None:
            return await original(self, hook_ctx, request, *args, **kwargs)
        async with passage_async(operation, refuse) as payload:
            return await original(self, hook_ctx, _rebuilt(request, content, payload), *args, **kwargs)

    return do_request


def _read_built(request: Any) -> tuple[bytes, Operation | None]:
    """The bytes of a request that the HTTP library has made already, and what it is in the guard's terms."""
    service = service_at(str(request.url), "google")
    try:
        content = request.read()
        return content, translate(request.url.path, content or None, service=service)
    except Exception as error:  # noqa: BLE001 - what cannot be read is refused by the guard, and recorded
        return b"", _unread(error, service)


def _rebuilt(request: Any, content: bytes, payload: Mapping[Any, Any]) -> Any:
    sent = replaced(content, payload)
    if sent == content:
        return request
    headers = [(name, value) for name, value in request.headers.multi_items() if name.lower() != "content-length"]
    return type(request)(request.method, request.url, headers=headers, content=sent, extensions=request.extensions)


def _service(client: Any, url: str) -> str:
    return service_at(url, "google")


ADAPTER = Adapter(
    name="google-genai",
    distributions=("google-genai",),
    supported=">=1.75,<4",
    hooks=(
        Hook("google.genai._api_client", "BaseApiClient._request", _request),
        Hook("google.genai._api_client", "BaseApiClient._async_request", _request_later),
        Hook("google.genai._gaos.basesdk", "BaseSDK.do_request", _do_request),
        Hook("google.genai._gaos.basesdk", "AsyncBaseSDK.do_request_async", _do_request_later),
        *hooks_in(
            "google.genai._interactions._base_client",
            Dialect(translate, _service, "google.genai._interactions._exceptions"),
        ),
    ),
    discover={
        **dict.fromkeys(FILES, uploads_in(refuse)),
        "google.genai.live": live_hooks_in(refuse),
        "google.genai.live_music": music_hooks_in(refuse),
    },
    note="what an HTTP hook or a transport of one's own puts into a request afterwards is not looked at",
)
